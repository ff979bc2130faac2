#include "host/tracer.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/errors.h"
#include "host/launch.h"

namespace vmtpy::host {

namespace {

// Makes the tracer's waitpid return; blocked in it at all other times, and by nobody used for more.
int doorbell() {
  return SIGRTMAX - 1;
}

void install_doorbell() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(doorbell(), &action, nullptr);  // no SA_RESTART
}

constexpr std::uint64_t bit(int signal) {
  return std::uint64_t{1} << (signal - 1);
}

// The kernel sets SI_KERNEL for the general protection faults of port access and CPUID.
bool is_protection_fault(const siginfo_t& info) {
  return info.si_code == SI_KERNEL;
}

// A thread that had blocked every signal has all but SIGSEGV blocked now: the kernel unblocks a
// signal that it must deliver. Ours is never delivered, so the mask is put back. (32 and 33 belong
// to the C library, which keeps programs from blocking them.)
void restore_mask(Tracee& tracee, int signal) {
  constexpr std::uint64_t STANDARD = bit(32) - 1;
  std::uint64_t all = STANDARD & ~(bit(SIGKILL) | bit(SIGSTOP) | bit(signal));
  std::uint64_t blocked = 0;
  if (tracee.get_mask(blocked) && (blocked & all) == all) tracee.set_mask(blocked | bit(signal));
}

}  // namespace

TrapHost::Tracer::Tracer(std::shared_ptr<Device> device, std::vector<std::string> command,
                         TrapHostOptions options)
    : device_(std::move(device)),
      command_(std::move(command)),
      options_(std::move(options)),
      cpuid_(options_.cpuid) {}

TrapHost::Tracer::~Tracer() {
  {
    std::unique_lock lock(mutex_);
    leave_ = true;
    // It may be just about to wait: ring until it has gone.
    while (!gone_) {
      pthread_kill(thread_, doorbell());
      changed_.wait_for(lock, std::chrono::milliseconds(10));
    }
  }
  if (state_ != NEW) pthread_join(thread_, nullptr);
  if (pidfd_ >= 0) close(pidfd_);
}

void TrapHost::Tracer::start() {
  std::unique_lock lock(mutex_);
  if (state_ != NEW) throw Error("the program has been started already");
  install_doorbell();
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask_);
  int error = pthread_create(&thread_, nullptr, thread_main, this);
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  if (error != 0) throw SystemError("pthread_create", command_.front(), error);
  gone_ = false;
  changed_.wait(lock, [this] { return state_ != NEW || gone_; });
  if (!failure_) return;
  lock.unlock();
  pthread_join(thread_, nullptr);
  std::rethrow_exception(std::exchange(failure_, nullptr));
}

void* TrapHost::Tracer::thread_main(void* self) {
  auto* tracer = static_cast<Tracer*>(self);
  tracer->run();
  std::lock_guard guard(tracer->mutex_);
  tracer->gone_ = true;
  tracer->changed_.notify_all();
  return nullptr;
}

void TrapHost::Tracer::run() {
  pid_t child = -1;
  try {
    child = launch_program();
  } catch (...) {
    std::lock_guard guard(mutex_);
    failure_ = std::current_exception();
    return;
  }
  {
    std::lock_guard guard(mutex_);
    process_ = child;
    pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  }
  stopped(child, SIGTRAP << 8 | 0x7F | PTRACE_EVENT_EXEC << 16);
  move_to(RUNNING);
  trace();
}

pid_t TrapHost::Tracer::launch_program() {
  if (!options_.vsock) return launch(command_, mask_);
  UniqueFd calls;
  pid_t child = launch(command_, mask_, &calls);
  try {
    socket_calls_ = std::make_unique<SocketCalls>(std::move(calls), *options_.vsock);
  } catch (...) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, __WALL);
    throw;
  }
  return child;
}

void TrapHost::Tracer::trace() {
  sigset_t bell;
  sigemptyset(&bell);
  sigaddset(&bell, doorbell());
  pthread_sigmask(SIG_UNBLOCK, &bell, nullptr);
  while (!leaving()) {
    int status = 0;
    pid_t thread = waitpid(-1, &status, __WALL | __WNOTHREAD);
    if (thread > 0 && WIFSTOPPED(status)) {
      stopped(thread, status);
    } else if (thread > 0) {
      ended(thread, status);
    } else if (errno != EINTR) {
      return move_to(ALL_ENDED);  // ECHILD: nothing is left to trace
    }
  }
  detach_all();
}

void TrapHost::Tracer::ended(pid_t thread, int status) {
  threads_.erase(thread);
  if (thread != process_) return;
  {
    std::lock_guard guard(mutex_);
    wait_status_ = status;
  }
  move_to(PROGRAM_ENDED);
}

void TrapHost::Tracer::stopped(pid_t thread, int status) {
  threads_.insert(thread);
  Tracee tracee(thread);
  int event = status >> 16;
  int signal = WSTOPSIG(status);
  if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
    tracee.listen();  // a group-stop, in which it stays until SIGCONT
    return;
  }
  if (event != 0) {
    signal = 0;
    if (event == PTRACE_EVENT_EXEC) cpuid_.program_started(tracee, signal);
  } else if (answered(tracee, signal)) {
    signal = 0;
  }
  tracee.resume(signal);
}

bool TrapHost::Tracer::answered(Tracee& tracee, int signal) {
  if (signal == SIGSEGV) return answer_fault(tracee);
  if (signal == SIGILL) return answer_patched(tracee);
  return false;
}

bool TrapHost::Tracer::answer_fault(Tracee& tracee) {
  siginfo_t info{};
  user_regs_struct registers{};
  Code code{};
  if (!tracee.get(info) || !is_protection_fault(info) || !tracee.get(registers)) return false;
  // The second byte of `in eax, dx` may lie beyond the end of the text.
  if (!tracee.read(registers.rip, code.data(), 2) && !tracee.read(registers.rip, code.data(), 1)) {
    return false;
  }
  Faulted faulted = decode(registers, code);
  if (faulted == Faulted::OTHER) return false;
  if (faulted == Faulted::CPUID && cpuid_.method() != CpuidMethod::FAULT) return false;
  if (faulted != Faulted::CPUID && !options_.backdoor) return false;
  answer(tracee, faulted, registers);
  restore_mask(tracee, SIGSEGV);
  return true;
}

bool TrapHost::Tracer::answer_patched(Tracee& tracee) {
  siginfo_t info{};
  user_regs_struct registers{};
  if (!tracee.get(info) || info.si_code <= 0) return false;  // sent, not raised
  if (!tracee.get(registers) || !cpuid_.patched(tracee, registers.rip)) return false;
  answer(tracee, Faulted::CPUID, registers);
  restore_mask(tracee, SIGILL);
  return true;
}

void TrapHost::Tracer::answer(Tracee& tracee, Faulted faulted, user_regs_struct& registers) {
  if (faulted == Faulted::CPUID) {
    Cpuid::answer(registers);
  } else {
    Registers frame{registers.rax, registers.rbx, registers.rcx, registers.rdx,
                    registers.rsi, registers.rdi, registers.rbp};
    Instruction instruction = faulted == Faulted::LOW        ? Instruction::LOW
                              : faulted == Faulted::HIGH_OUT ? Instruction::HIGH_OUT
                                                             : Instruction::HIGH_IN;
    device_->trap(instruction, frame, tracee);
    registers.rax = frame.rax;
    registers.rbx = frame.rbx;
    registers.rcx = frame.rcx;
    registers.rdx = frame.rdx;
    registers.rsi = frame.rsi;
    registers.rdi = frame.rdi;
    registers.rbp = frame.rbp;
  }
  registers.rip += static_cast<unsigned>(instruction_size(faulted));
  tracee.set(registers);
}

// All are stopped before the first is let go: the call that each is made to do overwrites text that
// another might run.
void TrapHost::Tracer::detach_all() {
  std::vector<std::pair<pid_t, int>> stopped;
  for (pid_t thread : threads_) {
    int signal = 0;
    if (stop_for_detach(thread, signal)) stopped.emplace_back(thread, signal);
  }
  for (auto& [thread, signal] : stopped) {
    Tracee tracee(thread);
    cpuid_.let_go(tracee, signal);
  }
  for (auto [thread, signal] : stopped) Tracee(thread).detach(signal);
}

bool TrapHost::Tracer::stop_for_detach(pid_t thread, int& signal) {
  Tracee tracee(thread);
  int status = 0;
  if (!tracee.interrupt() || !tracee.wait_for_stop(status)) return false;
  if (status >> 16 != 0) return true;
  signal = WSTOPSIG(status);
  if (answered(tracee, signal)) signal = 0;
  return true;
}

bool TrapHost::Tracer::wait(State state, Time deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline, [this, state] { return state_ >= state; });
}

int TrapHost::Tracer::wait_status() const {
  std::lock_guard guard(mutex_);
  return wait_status_;
}

int TrapHost::Tracer::process() const {
  std::lock_guard guard(mutex_);
  return process_;
}

void TrapHost::Tracer::signal(int number) {
  std::lock_guard guard(mutex_);
  if (pidfd_ >= 0) syscall(SYS_pidfd_send_signal, pidfd_, number, nullptr, 0);
}

void TrapHost::Tracer::move_to(State state) {
  std::lock_guard guard(mutex_);
  state_ = state;
  changed_.notify_all();
}

bool TrapHost::Tracer::leaving() const {
  std::lock_guard guard(mutex_);
  return leave_;
}

}  // namespace vmtpy::host
