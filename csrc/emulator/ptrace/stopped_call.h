// The program behind a system call that waits for an answer: its memory, its sockets and its
// rights. It serves emulator/ptrace/socket_calls.h. Every function may fail, because the program
// may have been killed meanwhile.
#pragma once

#include <linux/vm_sockets.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/unique_fd.h"

namespace vmtpy::emulator {

// Lives in one answer of the thread of SocketCalls.
class StoppedCall {
 public:
  explicit StoppedCall(pid_t thread) : thread_(thread) {}

  bool read(std::uint64_t address, void* into, std::size_t size) const;
  bool write(std::uint64_t address, const void* from, std::size_t size) const;
  // Returns the vsock address that is an argument. Returns nothing if it is of another family, too
  // short or gone.
  std::optional<sockaddr_vm> address(std::uint64_t where, std::uint64_t size) const;

  // Returns a copy of the program's descriptor, or -1 if there is none.
  UniqueFd socket(std::uint64_t descriptor) const;
  bool may_bind_privileged() const;                  // true with CAP_NET_BIND_SERVICE
  std::string file(std::uint64_t descriptor) const;  // the name of the open file

 private:
  pid_t thread_;
};

}  // namespace vmtpy::emulator
