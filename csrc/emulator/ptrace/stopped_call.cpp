// Reads and writes by process_vm_readv(2) and process_vm_writev(2), and takes descriptors by pidfd.
// It relies on the kernel's rules for ptrace, which allow that for one's own programs.
#include "emulator/ptrace/stopped_call.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fstream>

#include "emulator/ptrace/newer_kernel.h"

namespace vmtpy::emulator {

namespace {

constexpr unsigned PIDFD_OF_THREAD = O_EXCL;  // PIDFD_THREAD, in Linux 6.9 and later

iovec range(std::uint64_t address, std::size_t size) {
  return {reinterpret_cast<void*>(address), size};
}

// Reads a number in /proc/THREAD/status.
std::optional<std::uint64_t> status(pid_t thread, const std::string& name, int base) {
  std::ifstream file("/proc/" + std::to_string(thread) + "/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(name)) return std::stoull(line.substr(name.size()), nullptr, base);
  }
  return std::nullopt;
}

UniqueFd pidfd(pid_t thread) {
  UniqueFd own(static_cast<int>(syscall(SYS_pidfd_open, thread, PIDFD_OF_THREAD)));
  if (own) return own;
  // Older kernels open only a process. Its first thread has the same descriptors, unless that
  // thread has ended or they were parted with unshare(2).
  auto process = status(thread, "Tgid:", 10);
  return UniqueFd(process ? static_cast<int>(syscall(SYS_pidfd_open, *process, 0)) : -1);
}

}  // namespace

bool StoppedCall::read(std::uint64_t address, void* into, std::size_t size) const {
  iovec here{into, size};
  iovec there = range(address, size);
  return process_vm_readv(thread_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(size);
}

bool StoppedCall::write(std::uint64_t address, const void* from, std::size_t size) const {
  iovec here{const_cast<void*>(from), size};
  iovec there = range(address, size);
  return process_vm_writev(thread_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(size);
}

std::optional<sockaddr_vm> StoppedCall::address(std::uint64_t where, std::uint64_t size) const {
  sockaddr_vm found{};
  if (static_cast<std::uint32_t>(size) < sizeof found) return std::nullopt;
  if (!read(where, &found, sizeof found) || found.svm_family != AF_VSOCK) return std::nullopt;
  return found;
}

UniqueFd StoppedCall::socket(std::uint64_t descriptor) const {
  UniqueFd process = pidfd(thread_);
  if (!process) return process;
  auto number = static_cast<int>(descriptor);
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), number, 0)));
}

bool StoppedCall::may_bind_privileged() const {
  return status(thread_, "CapEff:", 16).value_or(0) >> CAP_NET_BIND_SERVICE & 1;
}

std::string StoppedCall::file(std::uint64_t descriptor) const {
  const std::string link =
      "/proc/" + std::to_string(thread_) + "/fd/" + std::to_string(static_cast<int>(descriptor));
  char target[256];
  ssize_t size = readlink(link.c_str(), target, sizeof target);
  return size < 0 ? "" : std::string(target, static_cast<std::size_t>(size));
}

}  // namespace vmtpy::emulator
