// vsock for traced programs on a machine that has none, or another host's. Their system calls on
// AF_VSOCK sockets, for which the kernel waits (emulator/ptrace/seccomp_filter.h), are done on
// AF_UNIX sockets that lead to emulator/vsock/vsock_service.h. Calls that have nothing to do with
// vsock go on unchanged. This is no sandbox but a help for programs under test. It serves
// emulator/ptrace/tracer.h.
//
// The programs see a guest whose only vsock neighbour is its host (context ids 0 and 2). With
// loopback their sockets stay AF_VSOCK, and connections to the host go to this machine itself.
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

// Owned by the Tracer, with a thread of its own that answers the calls and ends with it. It
// outlives the trace, since the traced programs wait for its answers.
class SocketCalls {
 public:
  // `base` is that of the service's AF_UNIX names, "" for loopback. `pairs` are the pairs of ports
  // that the service holds.
  SocketCalls(UniqueFd listener, std::string base, const VsockPairs& pairs);
  // After the end programs that still run get ENOSYS for the filtered calls.
  ~SocketCalls();

 private:
  // What the kernel answers: a value, -errno, or that it does the call itself.
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
