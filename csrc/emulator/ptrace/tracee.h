// One traced thread, with the requests of ptrace(2) as methods. It serves emulator/ptrace/tracer.h
// and what it uses. A tracee may be killed at any moment: then the methods return false, and the
// next waitpid reports its end.
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>
#include <optional>

#include "emulator/guest_memory.h"

namespace vmtpy::emulator {

// Lives in the handling of one stop. Only the tracing thread may call it and, except for
// interrupt(), only while the tracee is in a ptrace-stop.
class Tracee final : public GuestMemory {
 public:
  explicit Tracee(pid_t thread) : thread_(thread) {}
  pid_t thread() const { return thread_; }

  bool resume(int signal);  // delivers `signal` unless it is 0
  // Resumes until the begin or end of a system call at the latest.
  bool resume_to_call(int signal);
  // Returns the new thread if the stop is that after a clone or fork.
  std::optional<pid_t> newborn(int event);
  // Returns the number that the thread had before, in the stop after an exec.
  std::optional<pid_t> former();
  // Leaves the thread in its group-stop, but hears of SIGCONT.
  bool listen();
  bool interrupt();  // makes the thread stop
  bool detach(int signal);

  bool get(user_regs_struct& registers);
  bool set(user_regs_struct& registers);
  bool get(siginfo_t& info);
  // Says whether a signal that the thread has caused itself waits to be delivered to it.
  bool has_pending_fault();
  bool get_mask(std::uint64_t& blocked);
  bool set_mask(std::uint64_t blocked);

  bool read(std::uint64_t address, void* into, std::size_t size) override;
  bool write(std::uint64_t address, const void* from, std::size_t size) override;
  // Read and write eight bytes, also where the program itself may not write (its text, which is
  // then copied for it alone).
  std::optional<std::uint64_t> peek(std::uint64_t address);
  bool poke(std::uint64_t address, std::uint64_t word);

  // Waits for the next stop. Returns false when the thread has ended, which another waitpid then
  // reports.
  bool wait_for_stop(int& status);

  // Makes the thread do a system call of two arguments in place of what it was about to do, and
  // restores it. Returns the call's result, or -ENOSYS where it cannot be done. `signal` is set to
  // a signal that came in between and has to be delivered at the next resume().
  long system_call(long number, std::uint64_t first, std::uint64_t second, int& signal);

 private:
  long run_injected(user_regs_struct& registers, std::uint64_t end, int& signal);
  pid_t thread_;
};

}  // namespace vmtpy::emulator
