// The emulated host on vsock. It listens on its two ports, RPCI and TCLO, and serves any number of
// connections for a Device. It listens on AF_VSOCK itself, on any context id, or on AF_UNIX in its
// place (emulator/vsock/unix_name.h). It can be made to break the protocol, to stop listening and
// to drop all connections. It serves `vmtpy emulate` and the tests.
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

// Owned by Python, with a thread of its own that ends with it. Any thread may call it.
class VsockService {
 public:
  // `base` is that of the AF_UNIX names, "" for AF_VSOCK. Throws SystemError where it cannot
  // listen. Without `tclo` it listens for RPCI alone, and commands go by the backdoor.
  VsockService(std::shared_ptr<Device> device, std::string base, bool tclo = true);
  ~VsockService();

  // Each of these functions has taken effect when it returns.
  // Stops listening. Connections that exist go on.
  void stop_listening();
  void listen_again();
  void drop_connections();
  void misbehave(VsockFault fault, std::uint32_t port, int after, int times);
  // Sends bytes on every connection to the port.
  void send_raw(std::uint32_t port, const std::string& bytes);
  int connections();
  // Returns numbers by name: "connections", "packets", "pings" (of guests), "rejected".
  std::map<std::string, std::uint64_t> counts();

 private:
  void call(const std::function<void()>& body);
  std::unique_ptr<VsockServer> server_;
  pid_t process_;  // the process that has the server's thread
};

}  // namespace vmtpy::emulator
