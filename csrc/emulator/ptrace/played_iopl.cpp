// Answers iopl at the begin and end of a stopped system call. It relies on the stops of
// PTRACE_SYSCALL, which the tracer asks for.
#include "emulator/ptrace/played_iopl.h"

#include <sys/syscall.h>
#include <sys/user.h>

#include <cerrno>
#include <cstdint>

namespace vmtpy::emulator {
namespace {

constexpr int HIGHEST = 3;  // the level that the ports require

}  // namespace

bool IoPrivilege::raised(pid_t thread) const {
  auto found = threads_.find(thread);
  return found != threads_.end() && found->second.level == HIGHEST;
}

// A call of number -1 does nothing, and its result is what the tracer puts into rax when the call
// ends.
void IoPrivilege::at_call(Tracee& tracee) {
  user_regs_struct registers{};
  if (!tracee.get(registers)) return;
  Thread& thread = threads_[tracee.thread()];
  if (thread.wanted >= 0) {
    bool good = thread.wanted <= HIGHEST;
    if (good) thread.level = thread.wanted;
    thread.wanted = -1;
    registers.rax = good ? 0 : static_cast<std::uint64_t>(-EINVAL);
    tracee.set(registers);
  } else if (registers.orig_rax == SYS_iopl && static_cast<long>(registers.rax) == -ENOSYS) {
    auto level = static_cast<std::uint32_t>(registers.rdi);
    thread.wanted = level <= std::uint32_t{HIGHEST} ? static_cast<int>(level) : HIGHEST + 1;
    registers.orig_rax = static_cast<std::uint64_t>(-1);
    tracee.set(registers);
  }
}

void IoPrivilege::born(pid_t parent, pid_t child) {
  if (raised(parent)) threads_[child].level = HIGHEST;
}

}  // namespace vmtpy::emulator
