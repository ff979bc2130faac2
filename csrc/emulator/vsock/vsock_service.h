// The emulated host on vsock: listens on its two ports, RPCI and TCLO, and serves any number of
// connections for a Device, in one thread of its own. It listens on AF_VSOCK itself, on any context
// id, or on AF_UNIX in its place (emulator/vsock/unix_name.h). It can be made to break the
// protocol, to stop listening and to drop all connections. Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "emulator/device.h"
#include "emulator/vsock/vsock_faults.h"

namespace vmtpy::emulator {

class VsockServer;

class VsockService {
 public:
  // `base`: of the AF_UNIX names; "" for AF_VSOCK. Throws SystemError where it cannot listen.
  // Without `tclo` it listens for RPCI alone: commands go by the backdoor then.
  VsockService(std::shared_ptr<Device> device, std::string base, bool tclo = true);
  ~VsockService();

  // Each of these has been done when it returns.
  void stop_listening();  // connections that are there go on
  void listen_again();
  void drop_connections();
  void misbehave(VsockFault fault, std::uint32_t port, int after, int times);
  void send_raw(std::uint32_t port, const std::string& bytes);  // on every connection to the port
  int connections();
  // "connections", "packets", "pings" (of guests), "rejected" → number
  std::map<std::string, std::uint64_t> counts();

 private:
  void call(const std::function<void()>& body);
  std::unique_ptr<VsockServer> server_;
  pid_t process_;  // that has the server's thread
};

}  // namespace vmtpy::emulator
