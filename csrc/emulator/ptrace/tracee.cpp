// The calls of ptrace(2), and a system call that is written into the program's text for a moment.
// It relies on x86-64's registers.
#include "emulator/ptrace/tracee.h"

#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <cerrno>

namespace vmtpy::emulator {

namespace {

constexpr std::uint64_t CODE_SEGMENT_64 = 0x33;
constexpr std::uint64_t bit(int signal) {
  return std::uint64_t{1} << (signal - 1);
}

void* as_pointer(std::uint64_t value) {
  return reinterpret_cast<void*>(value);
}

}  // namespace

bool Tracee::resume(int signal) {
  return ptrace(PTRACE_CONT, thread_, nullptr, as_pointer(static_cast<unsigned>(signal))) == 0;
}

bool Tracee::resume_to_call(int signal) {
  return ptrace(PTRACE_SYSCALL, thread_, nullptr, as_pointer(static_cast<unsigned>(signal))) == 0;
}

std::optional<pid_t> Tracee::newborn(int event) {
  const bool birth =
      event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK;
  return birth ? former() : std::nullopt;
}

// The kernel's message is one thread's number in either stop.
std::optional<pid_t> Tracee::former() {
  unsigned long thread = 0;
  if (ptrace(PTRACE_GETEVENTMSG, thread_, nullptr, &thread) != 0) return std::nullopt;
  return static_cast<pid_t>(thread);
}

bool Tracee::listen() {
  return ptrace(PTRACE_LISTEN, thread_, nullptr, nullptr) == 0;
}

bool Tracee::interrupt() {
  return ptrace(PTRACE_INTERRUPT, thread_, nullptr, nullptr) == 0;
}

bool Tracee::detach(int signal) {
  return ptrace(PTRACE_DETACH, thread_, nullptr, as_pointer(static_cast<unsigned>(signal))) == 0;
}

bool Tracee::get(user_regs_struct& registers) {
  return ptrace(PTRACE_GETREGS, thread_, nullptr, &registers) == 0;
}

bool Tracee::set(user_regs_struct& registers) {
  return ptrace(PTRACE_SETREGS, thread_, nullptr, &registers) == 0;
}

bool Tracee::get(siginfo_t& info) {
  return ptrace(PTRACE_GETSIGINFO, thread_, nullptr, &info) == 0;
}

bool Tracee::has_pending_fault() {
  constexpr std::uint64_t FAULTS = bit(SIGSEGV) | bit(SIGILL) | bit(SIGTRAP);
  __ptrace_peeksiginfo_args next{0, 0, 1};
  siginfo_t info{};
  for (; ptrace(PTRACE_PEEKSIGINFO, thread_, &next, &info) == 1; ++next.off) {
    if ((bit(info.si_signo) & FAULTS) != 0) return true;
  }
  return false;
}

bool Tracee::get_mask(std::uint64_t& blocked) {
  return ptrace(PTRACE_GETSIGMASK, thread_, as_pointer(sizeof blocked), &blocked) == 0;
}

bool Tracee::set_mask(std::uint64_t blocked) {
  return ptrace(PTRACE_SETSIGMASK, thread_, as_pointer(sizeof blocked), &blocked) == 0;
}

bool Tracee::read(std::uint64_t address, void* into, std::size_t size) {
  iovec here{into, size};
  iovec there{as_pointer(address), size};
  return process_vm_readv(thread_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(size);
}

bool Tracee::write(std::uint64_t address, const void* from, std::size_t size) {
  iovec here{const_cast<void*>(from), size};
  iovec there{as_pointer(address), size};
  return process_vm_writev(thread_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(size);
}

std::optional<std::uint64_t> Tracee::peek(std::uint64_t address) {
  errno = 0;
  long word = ptrace(PTRACE_PEEKTEXT, thread_, as_pointer(address), nullptr);
  if (errno != 0) return std::nullopt;
  return static_cast<std::uint64_t>(word);
}

bool Tracee::poke(std::uint64_t address, std::uint64_t word) {
  return ptrace(PTRACE_POKETEXT, thread_, as_pointer(address), as_pointer(word)) == 0;
}

long Tracee::system_call(long number, std::uint64_t first, std::uint64_t second, int& signal) {
  user_regs_struct saved{};
  std::uint64_t blocked = 0;
  if (!get(saved) || saved.cs != CODE_SEGMENT_64 || !get_mask(blocked)) return -ENOSYS;
  auto text = peek(saved.rip);
  if (!text) return -ENOSYS;
  // The code is "mov eax, NUMBER; syscall; int3". The number cannot be put into the register,
  // because inside execve the kernel still has to write that call's result there.
  std::uint64_t code = 0xCC050F00000000B8 | (static_cast<std::uint64_t>(number) << 8);
  user_regs_struct registers = saved;
  registers.rdi = first;
  registers.rsi = second;
  registers.orig_rax = ~0ULL;  // no system call may be begun again
  long result = -ENOSYS;
  if (set_mask(~bit(SIGTRAP)) && poke(saved.rip, code) && set(registers)) {
    result = run_injected(registers, saved.rip + sizeof code, signal);
  }
  poke(saved.rip, *text);
  set(saved);
  set_mask(blocked);
  return result;
}

// With every signal blocked only a stop or the thread's end can come in between.
long Tracee::run_injected(user_regs_struct& registers, std::uint64_t end, int& signal) {
  while (resume(0)) {
    int status = 0;
    if (!wait_for_stop(status)) return -ENOSYS;
    if (WSTOPSIG(status) == SIGTRAP && status >> 16 == 0) {
      if (!get(registers) || registers.rip != end) return -ENOSYS;
      return static_cast<long>(registers.rax);
    }
    if (status >> 16 == 0) signal = WSTOPSIG(status);
  }
  return -ENOSYS;
}

bool Tracee::wait_for_stop(int& status) {
  siginfo_t info{};
  int result = 0;
  do {
    result =
        waitid(P_PID, static_cast<id_t>(thread_), &info, WEXITED | WSTOPPED | WNOWAIT | __WALL);
  } while (result != 0 && errno == EINTR);
  bool alive =
      info.si_code != CLD_EXITED && info.si_code != CLD_KILLED && info.si_code != CLD_DUMPED;
  if (result != 0 || !alive) return false;
  pid_t waited = 0;
  do {
    waited = waitpid(thread_, &status, __WALL);
  } while (waited < 0 && errno == EINTR);
  return waited == thread_ && WIFSTOPPED(status);
}

}  // namespace vmtpy::emulator
