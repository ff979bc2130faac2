// The thread behind emulator/ptrace/trap.h. It starts the program, hears from the kernel of every
// stop of every traced thread, answers the stops that are traps to the host, and passes everything
// else on. It waits with __WALL | __WNOTHREAD, so children of this process's other threads are left
// to those threads.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/thread_safety.h"
#include "base/unique_fd.h"
#include "emulator/device.h"
#include "emulator/ptrace/cpuid.h"
#include "emulator/ptrace/decode.h"
#include "emulator/ptrace/played_iopl.h"
#include "emulator/ptrace/socket_calls.h"
#include "emulator/ptrace/tracee.h"
#include "emulator/ptrace/trap_options.h"

namespace vmtpy::emulator {

// Owned by the TrapHost, whose threads call the public functions. Members without the lock belong
// to the tracing thread, which ends with the object.
class Tracer {
 public:
  enum State { NEW, RUNNING, PROGRAM_ENDED, ALL_ENDED };
  enum Stun { NONE, WHEN_IN_FLIGHT, NOW, STUNNED };

  Tracer(std::shared_ptr<Device> device, std::vector<std::string> command, TrapHostOptions options);
  ~Tracer();
  void start();
  bool wait(State state, Time deadline);
  int wait_status() const;
  int process() const;
  void signal(int number);
  bool stun(Time deadline);
  void resume();
  CpuidMethod cpuid_answered() const { return cpuid_.method(); }

 private:
  // PTRACE_O_TRACESYSGOOD marks a stop at a system call with this bit.
  static constexpr int CALL = 0x80;

  static void* thread_main(void* self);
  void run();
  pid_t launch_program();
  void trace();
  void stopped(pid_t thread, int status);
  void ended(pid_t thread, int status);
  bool answered(Tracee& tracee, int signal);
  void at_event(Tracee& tracee, int event, int& signal);
  bool linker_called(Tracee& tracee, const siginfo_t& info, user_regs_struct& registers);
  Faulted what_faulted(Tracee& tracee, const siginfo_t& info, const user_regs_struct& registers);
  bool is_answered(Faulted faulted, const siginfo_t& info, pid_t thread) const;
  void ask_device(Faulted faulted, wire::Registers& frame, Tracee& tracee);
  void answer(Tracee& tracee, Faulted faulted, user_regs_struct& registers);
  void detach_all();
  std::map<pid_t, int> stop_all();
  std::optional<int> signal_at_detach(pid_t thread, int status);
  void move_to(State state);
  bool leaving() const;
  bool stun_due() const;
  void stand_still();

  std::shared_ptr<Device> device_;
  std::vector<std::string> command_;
  const TrapHostOptions options_;
  Cpuid cpuid_;
  IoPrivilege io_privilege_;  // for a host that requires it
  // This must outlive the trace, because programs wait for its answers.
  std::unique_ptr<SocketCalls> socket_calls_;
  std::set<pid_t> threads_;  // used by the tracing thread alone
  // The signal mask of the thread that called start(), which the program gets.
  sigset_t mask_{};
  pthread_t thread_{};

  mutable Mutex mutex_;  // guards the members below
  std::condition_variable changed_;
  State state_ GUARDED_BY(mutex_) = NEW;
  bool leave_ GUARDED_BY(mutex_) = false;
  Stun stun_ GUARDED_BY(mutex_) = NONE;
  bool gone_ GUARDED_BY(mutex_) = true;  // true when the thread is gone
  std::exception_ptr failure_ GUARDED_BY(mutex_);
  pid_t process_ GUARDED_BY(mutex_) = -1;
  UniqueFd pidfd_ GUARDED_BY(mutex_);
  int wait_status_ GUARDED_BY(mutex_) = 0;
};

}  // namespace vmtpy::emulator
