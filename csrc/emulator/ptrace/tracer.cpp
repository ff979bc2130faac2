// The tracing loop: one waitpid, and what each kind of stop means. It relies on Tracee for
// ptrace(2), and on the Device for each answer.
#include "emulator/ptrace/tracer.h"

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/errors.h"
#include "emulator/machine.h"
#include "emulator/ptrace/launch.h"
#include "emulator/ptrace/newer_kernel.h"

namespace vmtpy::emulator {

namespace {

// The signal that makes the tracer's waitpid return. Only the tracing loop unblocks it.
int doorbell() {
  return SIGRTMAX - 1;
}

void install_doorbell() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(doorbell(), &action, nullptr);  // without SA_RESTART
}

std::uint32_t announced_hypercalls(BackdoorKind kind) {
  if (kind != BackdoorKind::HYPERCALL) return 0;
  std::uint32_t faulting = faulting_hypercalls();
  if (faulting == 0) throw Error("neither vmcall nor vmmcall faults here, so none can be answered");
  return faulting;
}

constexpr std::uint64_t bit(int signal) {
  return std::uint64_t{1} << (signal - 1);
}

// The kernel sets SI_KERNEL for the general protection faults of port access and CPUID.
bool is_protection_fault(const siginfo_t& info) {
  return info.si_code == SI_KERNEL;
}

// Puts the signal mask back. A thread that had blocked every signal now has all but SIGSEGV
// blocked, because the kernel unblocks a signal that it must deliver, and this signal is never
// delivered. (32 and 33 belong to the C library, which keeps programs from blocking them.)
void restore_mask(Tracee& tracee, int signal) {
  constexpr std::uint64_t STANDARD = bit(32) - 1;
  std::uint64_t all = STANDARD & ~(bit(SIGKILL) | bit(SIGSTOP) | bit(signal));
  std::uint64_t blocked = 0;
  if (tracee.get_mask(blocked) && (blocked & all) == all) tracee.set_mask(blocked | bit(signal));
}

}  // namespace

Tracer::Tracer(std::shared_ptr<Device> device, std::vector<std::string> command,
               TrapHostOptions options)
    : device_(std::move(device)),
      command_(std::move(command)),
      options_(std::move(options)),
      cpuid_(options_.backdoor == BackdoorKind::VMPORT ? CpuidMethod::NONE : options_.cpuid,
             announced_hypercalls(options_.backdoor)) {}

Tracer::~Tracer() {
  {
    MutexLock lock(mutex_);
    leave_ = true;
    changed_.notify_all();  // the tracer may be stunned
    // The thread may be just about to wait, so the signal is sent until the thread has gone.
    while (!gone_) {
      pthread_kill(thread_, doorbell());
      changed_.wait_for(lock, std::chrono::milliseconds(10));
    }
  }
  if (state_ != NEW) pthread_join(thread_, nullptr);
}

void Tracer::start() {
  MutexLock lock(mutex_);
  if (state_ != NEW) throw Error("the program has been started already");
  install_doorbell();
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask_);
  int error = pthread_create(&thread_, nullptr, thread_main, this);
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  if (error != 0) throw SystemError("pthread_create", command_.front(), error);
  gone_ = false;
  changed_.wait(lock, [this]() REQUIRES(mutex_) { return state_ != NEW || gone_; });
  const std::exception_ptr failure = std::exchange(failure_, nullptr);
  if (!failure) return;
  lock.unlock();
  pthread_join(thread_, nullptr);
  std::rethrow_exception(failure);
}

void* Tracer::thread_main(void* self) {
  auto* tracer = static_cast<Tracer*>(self);
  tracer->run();
  MutexLock guard(tracer->mutex_);
  tracer->gone_ = true;
  tracer->changed_.notify_all();
  return nullptr;
}

void Tracer::run() {
  pid_t child = -1;
  try {
    child = launch_program();
  } catch (...) {
    MutexLock guard(mutex_);
    failure_ = std::current_exception();
    return;
  }
  {
    MutexLock guard(mutex_);
    process_ = child;
    pidfd_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  }
  stopped(child, SIGTRAP << 8 | 0x7F | PTRACE_EVENT_EXEC << 16);
  move_to(RUNNING);
  trace();
}

pid_t Tracer::launch_program() {
  if (!options_.vsock) return launch(command_, mask_);
  UniqueFd calls;
  pid_t child = launch(command_, mask_, &calls);
  try {
    socket_calls_ =
        std::make_unique<SocketCalls>(std::move(calls), *options_.vsock, device_->vsock_pairs());
  } catch (...) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, __WALL);
    throw;
  }
  return child;
}

void Tracer::trace() {
  sigset_t bell;
  sigemptyset(&bell);
  sigaddset(&bell, doorbell());
  pthread_sigmask(SIG_UNBLOCK, &bell, nullptr);
  while (!leaving()) {
    if (stun_due()) stand_still();
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

void Tracer::ended(pid_t thread, int status) {
  threads_.erase(thread);
  io_privilege_.ended(thread);
  if (thread != process()) return;
  {
    MutexLock guard(mutex_);
    wait_status_ = status;
  }
  move_to(PROGRAM_ENDED);
}

void Tracer::stopped(pid_t thread, int status) {
  threads_.insert(thread);
  Tracee tracee(thread);
  int event = status >> 16;
  int signal = WSTOPSIG(status);
  if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
    tracee.listen();  // the thread stays in a group-stop until SIGCONT
    return;
  }
  if (event != 0) {
    signal = 0;
    at_event(tracee, event, signal);
  } else if (signal == (SIGTRAP | CALL)) {
    io_privilege_.at_call(tracee);
    signal = 0;
  } else if (answered(tracee, signal)) {
    signal = 0;
  }
  if (options_.backdoor == BackdoorKind::VMPORT) {
    tracee.resume_to_call(signal);
  } else {
    tracee.resume(signal);
  }
}

void Tracer::at_event(Tracee& tracee, int event, int& signal) {
  if (event == PTRACE_EVENT_EXEC) {
    io_privilege_.ended(tracee.thread());
    // A thread that executes a program takes the number of the first thread, and nobody reports
    // the end of its own number.
    if (auto former = tracee.former(); former && *former != tracee.thread()) {
      threads_.erase(*former);
      io_privilege_.ended(*former);
    }
    cpuid_.program_started(tracee, signal);
  } else if (auto child = tracee.newborn(event)) {
    threads_.insert(*child);  // its first stop may be reported later than a detach begins
    io_privilege_.born(tracee.thread(), *child);
  }
}

bool Tracer::answered(Tracee& tracee, int signal) {
  if (signal != SIGSEGV && signal != SIGILL && signal != SIGTRAP) return false;
  siginfo_t info{};
  user_regs_struct registers{};
  if (!tracee.get(info) || !tracee.get(registers)) return false;
  if (info.si_code <= 0) return false;  // a program sent this signal
  if (signal == SIGTRAP) return linker_called(tracee, info, registers);
  Faulted faulted = what_faulted(tracee, info, registers);
  if (faulted == Faulted::OTHER) return false;
  answer(tracee, faulted, registers);
  restore_mask(tracee, signal);
  return true;
}

bool Tracer::linker_called(Tracee& tracee, const siginfo_t& info, user_regs_struct& registers) {
  if (info.si_code != SI_KERNEL || !cpuid_.libraries_mapped(tracee, registers)) return false;
  tracee.set(registers);
  restore_mask(tracee, SIGTRAP);
  return true;
}

Faulted Tracer::what_faulted(Tracee& tracee, const siginfo_t& info,
                             const user_regs_struct& registers) {
  if (info.si_signo == SIGILL && cpuid_.patched(tracee, registers.rip)) return Faulted::CPUID;
  Code code{};
  // A short instruction may lie at the very end of the text.
  std::size_t size = code.size();
  while (size > 0 && !tracee.read(registers.rip, code.data(), size)) --size;
  Faulted faulted = decode(registers, code);
  return is_answered(faulted, info, tracee.thread()) ? faulted : Faulted::OTHER;
}

bool Tracer::is_answered(Faulted faulted, const siginfo_t& info, pid_t thread) const {
  BackdoorKind kind = options_.backdoor;
  switch (faulted) {
    case Faulted::OTHER:
      return false;
    case Faulted::CPUID:
      return is_protection_fault(info) && cpuid_.method() == CpuidMethod::FAULT;
    // These raise SIGILL, or a page fault at the instruction where KVM wanted to put its own.
    case Faulted::VMCALL:
    case Faulted::VMMCALL:
      return kind == BackdoorKind::FULL || kind == BackdoorKind::HYPERCALL;
    default:
      return is_protection_fault(info) &&
             (kind == BackdoorKind::FULL ||
              (kind == BackdoorKind::VMPORT && io_privilege_.raised(thread)));
  }
}

void Tracer::ask_device(Faulted faulted, wire::Registers& frame, Tracee& tracee) {
  switch (faulted) {
    case Faulted::VMCALL:
      return device_->hypercall(Carrier::VMCALL, frame, tracee);
    case Faulted::VMMCALL:
      return device_->hypercall(Carrier::VMMCALL, frame, tracee);
    case Faulted::HIGH_OUT:
      return device_->trap(Instruction::HIGH_OUT, frame, tracee);
    case Faulted::HIGH_IN:
      return device_->trap(Instruction::HIGH_IN, frame, tracee);
    default:
      return device_->trap(Instruction::LOW, frame, tracee);
  }
}

void Tracer::answer(Tracee& tracee, Faulted faulted, user_regs_struct& registers) {
  if (faulted == Faulted::CPUID) {
    cpuid_.answer(registers);
  } else {
    wire::Registers frame{registers.rax, registers.rbx, registers.rcx, registers.rdx,
                          registers.rsi, registers.rdi, registers.rbp};
    ask_device(faulted, frame, tracee);
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

bool Tracer::wait(State state, Time deadline) {
  MutexLock lock(mutex_);
  return changed_.wait_until(lock, deadline,
                             [this, state]() REQUIRES(mutex_) { return state_ >= state; });
}

int Tracer::wait_status() const {
  MutexLock guard(mutex_);
  return wait_status_;
}

int Tracer::process() const {
  MutexLock guard(mutex_);
  return process_;
}

void Tracer::signal(int number) {
  MutexLock guard(mutex_);
  if (pidfd_) {
    syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
  } else if (process_ > 0 && state_ <= RUNNING) {
    // Linux before 5.3 needs this. state_ changes just after the program has been reaped.
    kill(process_, number);
  }
}

void Tracer::move_to(State state) {
  MutexLock guard(mutex_);
  state_ = state;
  changed_.notify_all();
}

bool Tracer::stun(Time deadline) {
  MutexLock lock(mutex_);
  auto settled = [this]()
                     REQUIRES(mutex_) { return stun_ == STUNNED || state_ == ALL_ENDED || gone_; };
  stun_ = WHEN_IN_FLIGHT;
  if (!changed_.wait_until(lock, deadline, settled)) stun_ = NOW;
  // The thread may be just about to wait for a trap, so the signal is sent until it has heard.
  while (!settled()) {
    pthread_kill(thread_, doorbell());
    changed_.wait_for(lock, std::chrono::milliseconds(10));
  }
  if (stun_ != STUNNED) stun_ = NONE;
  return stun_ == STUNNED && device_->in_flight();
}

void Tracer::resume() {
  MutexLock guard(mutex_);
  stun_ = NONE;
  changed_.notify_all();
}

bool Tracer::stun_due() const {
  MutexLock guard(mutex_);
  return stun_ == NOW || (stun_ == WHEN_IN_FLIGHT && device_->in_flight());
}

// Stops all threads until resume(). A thread that is born meanwhile stands still by itself, because
// nobody resumes it.
void Tracer::stand_still() {
  for (pid_t thread : threads_) Tracee(thread).interrupt();
  {
    MutexLock lock(mutex_);
    stun_ = STUNNED;
    changed_.notify_all();
    changed_.wait(lock, [this]() REQUIRES(mutex_) { return stun_ != STUNNED || leave_; });
  }
  device_->checkpoint();
}

bool Tracer::leaving() const {
  MutexLock guard(mutex_);
  return leave_;
}

}  // namespace vmtpy::emulator
