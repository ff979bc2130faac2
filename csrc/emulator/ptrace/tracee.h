// One traced thread: ptrace(2)'s requests as methods. All of them may only be called by the thread
// that traces, and, but for interrupt(), while the tracee is in a ptrace-stop. A tracee may be
// killed at any moment: then they answer false, and its end is reported by the next waitpid.
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>
#include <optional>

#include "emulator/guest_memory.h"

namespace vmtpy::emulator {

class Tracee final : public GuestMemory {
 public:
  explicit Tracee(pid_t thread) : thread_(thread) {}
  pid_t thread() const { return thread_; }

  bool resume(int signal);          // delivers `signal` unless 0
  bool resume_to_call(int signal);  // the same, to the begin or end of a system call at the latest
  std::optional<pid_t> born();      // in the stop after a clone or fork: who
  bool listen();                    // leave it in its group-stop, but hear of SIGCONT
  bool interrupt();                 // have it stop
  bool detach(int signal);

  bool get(user_regs_struct& registers);
  bool set(user_regs_struct& registers);
  bool get(siginfo_t& info);
  bool get_mask(std::uint64_t& blocked);
  bool set_mask(std::uint64_t blocked);

  bool read(std::uint64_t address, void* into, std::size_t size) override;
  bool write(std::uint64_t address, const void* from, std::size_t size) override;
  // Eight bytes, also where the program itself may not write (its text, copied for it alone).
  std::optional<std::uint64_t> peek(std::uint64_t address);
  bool poke(std::uint64_t address, std::uint64_t word);

  // The next stop. False at its end, which is left to be reported by another waitpid.
  bool wait_for_stop(int& status);

  // Has it do a system call of two arguments in place of what it was about to do, and restores it.
  // -errno of the call; -ENOSYS where it cannot be done. `signal` is set to a signal that came in
  // between and is to be delivered at the next resume().
  long system_call(long number, std::uint64_t first, std::uint64_t second, int& signal);

 private:
  long run_injected(user_regs_struct& registers, std::uint64_t end, int& signal);
  pid_t thread_;
};

}  // namespace vmtpy::emulator
