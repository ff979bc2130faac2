// vsock for traced programs on a machine that has none, or another host's: their system calls on
// AF_VSOCK sockets, on which the kernel waits for our word (emulator/ptrace/seccomp_filter.h), are
// done on AF_UNIX sockets that lead to emulator/vsock/vsock_service.h. One thread answers them.
// Calls that have nothing to do with vsock go on as they are. No sandbox: a help for programs under
// test.
//
// What they see is a guest whose only vsock neighbour is its host (context ids 0 and 2). Under
// `loopback` their sockets stay AF_VSOCK, and connections to the host go to this machine itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "emulator/ptrace/newer_kernel.h"
#include "emulator/vsock/unix_name.h"
#include "emulator/vsock/vsock_pairs.h"

namespace vmtpy::emulator {

class SocketCalls {
 public:
  // `base`: of the service's AF_UNIX names; "" for loopback. `pairs`: that the service holds.
  SocketCalls(UniqueFd listener, std::string base, const VsockPairs& pairs);
  // Programs that still run get ENOSYS for the filtered calls from now on.
  ~SocketCalls();

 private:
  // What the kernel is to answer: a value, -errno, or that it shall do the call itself.
  struct Verdict {
    std::int64_t value = 0;
    bool proceed = false;
  };
  static Verdict proceed() { return {0, true}; }

  void run();
  void answer();
  Verdict decide(const seccomp_notif& call);
  Verdict socket(const seccomp_notif& call);
  Verdict bind(const seccomp_notif& call);
  Verdict connect(const seccomp_notif& call);
  Verdict connect_unix(int socket, std::uint32_t port);
  Verdict name(const seccomp_notif& call, bool peer);
  Verdict option(const seccomp_notif& call) const;
  Verdict local_cid(const seccomp_notif& call) const;
  static Verdict socketcall(const seccomp_notif& call);

  int bind_to_any(int socket);
  std::string unique() const;

  UniqueFd listener_;
  const std::string base_;
  const VsockPairs& pairs_;
  UniqueFd bell_;
  std::uint32_t next_port_;
  std::thread thread_;
};

}  // namespace vmtpy::emulator
