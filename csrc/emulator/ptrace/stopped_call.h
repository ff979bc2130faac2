// The program behind a system call that waits for our word: its memory, its sockets, its rights.
// Used by emulator/ptrace/socket_calls.h. Everything may fail: the program may have been killed
// meanwhile.
#pragma once

#include <linux/vm_sockets.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/unique_fd.h"

namespace vmtpy::emulator {

class StoppedCall {
 public:
  explicit StoppedCall(pid_t thread) : thread_(thread) {}

  bool read(std::uint64_t address, void* into, std::size_t size) const;
  bool write(std::uint64_t address, const void* from, std::size_t size) const;
  // The vsock address that is an argument; nothing if it is of another family, too short or gone.
  std::optional<sockaddr_vm> address(std::uint64_t where, std::uint64_t size) const;

  UniqueFd socket(std::uint64_t descriptor) const;   // the same socket, ours to use; -1: none
  bool may_bind_privileged() const;                  // CAP_NET_BIND_SERVICE
  std::string file(std::uint64_t descriptor) const;  // what it is open on

 private:
  pid_t thread_;
};

}  // namespace vmtpy::emulator
