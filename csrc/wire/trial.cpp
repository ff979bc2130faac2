// The attempt in a child process. trial.h says what it promises; the comments here say why it is
// done this way.
#include "wire/trial.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <new>

#include "base/errors.h"
#include "linux/io_privilege.h"
#include "wire/wire.h"

namespace vmtpy::wire {
namespace {

constexpr std::size_t STACK_SIZE = 65536;  // a signal frame with AMX state takes 11 KiB

// What this process and the child share. The child's stack follows it in the same mapping.
struct Shared {
  volatile Trial* trial;
  Backdoor* backdoor;
  bool needs_privilege;
  bool channel;
};

std::uint32_t low32(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}

Registers ask(Backdoor& backdoor, wire::Command command, std::uint32_t argument) {
  Registers registers;
  registers.rax = wire::MAGIC;
  registers.rbx = argument;
  registers.rcx = command;
  registers.rdx = wire::PORT_LB;
  backdoor.low(registers);
  return registers;
}

// Says whether a message channel opens. OPEN is number 0, so an echo of the request cannot look
// like SUCCESS. A refusal with the cookies' flag may be meant for that flag alone.
bool opens_channel(Backdoor& backdoor) {
  for (std::uint32_t cookies : {wire::COOKIES, std::uint32_t{0}}) {
    Registers got =
        ask(backdoor, wire::MESSAGE, static_cast<std::uint32_t>(wire::Protocol::RPCI) | cookies);
    if ((low32(got.rcx) >> 16 & wire::SUCCESS) == 0) continue;
    Registers close;
    close.rax = wire::MAGIC;
    close.rcx = std::uint32_t{wire::CLOSE} << 16 | wire::MESSAGE;
    close.rdx = (low32(got.rdx) & 0xFFFF0000) | wire::PORT_LB;
    close.rsi = cookies != 0 ? low32(got.rsi) : 0;
    close.rdi = cookies != 0 ? low32(got.rdi) : 0;
    backdoor.low(close);
    return true;
  }
  return false;
}

// Runs in the child too, so nothing here may allocate, lock or throw.
void question(Backdoor& backdoor, volatile Trial& trial, bool channel) {
  trial.tried = true;
  // ebx starts as a value that VMware would never leave there, so that an echo is no answer.
  Registers got = ask(backdoor, wire::GETVERSION, ~wire::MAGIC);
  trial.answered = low32(got.rbx) == wire::MAGIC && low32(got.rax) != wire::UNKNOWN_COMMAND;
  if (trial.answered) {
    trial.version = low32(got.rax);
    trial.product = low32(got.rcx);
    // Every VMware product since 2002 says 6, so one trap settles it. A host that says another
    // number must also know its clock rate, because something that answers all ports alike echoes
    // the magic.
    if (trial.version != 6) {
      trial.answered = low32(ask(backdoor, wire::GETMHZ, 0).rax) != wire::MAGIC;
    }
  }
  trial.channel = trial.answered && channel && opens_channel(backdoor);
  trial.done = true;
}

// A bare system call stands in for _exit(), which sanitizers hook: they would look here for the
// stack of the parent's thread.
void end_child(int signal_number) {
  syscall(SYS_exit_group, signal_number);
}

// The child has its own table of handlers (no CLONE_SIGHAND) and mostly this process's memory. It
// needs the handlers because an unhandled SIGSEGV would dump core, and that ends every process that
// shares the memory. The signals must be neither blocked nor ignored at the instruction: otherwise
// a host that answers the fault by ptrace would find the process already condemned.
int child_main(void* argument) {
  const Shared& shared = *static_cast<Shared*>(argument);
  struct sigaction action = {};
  action.sa_handler = end_child;
  sigset_t faults;
  sigemptyset(&faults);
  for (int fault : {SIGSEGV, SIGILL, SIGBUS}) {
    if (sigaction(fault, &action, nullptr) != 0) return 0;
    sigaddset(&faults, fault);
  }
  if (pthread_sigmask(SIG_UNBLOCK, &faults, nullptr) != 0) return 0;
  if (shared.needs_privilege) {
    rlimit no_core{1, 1};  // with 0 the dump would still be piped to a program that collects dumps
    setrlimit(RLIMIT_CORE, &no_core);
    // This value stays if a seccomp filter kills the child at the call.
    shared.trial->privilege_error = EPERM;
    shared.trial->privilege_error = -linux::set_io_privilege(true);
    if (shared.trial->privilege_error != 0) return 0;
    linux::set_io_privilege(false);
  }
  question(*shared.backdoor, *shared.trial, shared.channel);
  return 0;
}

// Blocks all signals before the child is born, so that no handler of this process runs in the
// child, on its tiny stack and with another pid. It lives in one scope of the thread that makes the
// child.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// Returns how the child ended, for people. Its exit code is the signal that its handler caught.
std::string await_child(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, __WALL) < 0) {
    if (errno != EINTR) return "the child was reaped by someone else";
  }
  int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  if (signal_number == 0) return "the child could not prepare itself";
  switch (signal_number) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGILL:
      return "SIGILL";
    case SIGBUS:
      return "SIGBUS";
    default:
      return "signal " + std::to_string(signal_number);
  }
}

}  // namespace

TrialResult try_way(BackdoorWay way, const Cpu& cpu, bool channel) {
  std::unique_ptr<Backdoor> backdoor = make_backdoor(way, cpu);
  if (!backdoor) return {};
  void* stack =
      mmap(nullptr, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) return {{}, SystemError("mmap", "", errno).what()};
  auto* trial = new (stack) Trial;
  Shared shared{trial, backdoor.get(), way == BackdoorWay::PRIVILEGED_PORT, channel};
  // A seccomp filter may kill whoever calls iopl(2) and, before Linux 5.16, all who share its
  // memory, so that child gets a copy of the memory. CLONE_VFORK makes this thread wait while
  // others go on. The exit signal 0 means that there is no SIGCHLD, and that no wait() of the
  // program takes the child away unless it asks for such children.
  int flags = CLONE_VFORK | (shared.needs_privilege ? 0 : CLONE_VM);
  TrialResult result;
  {
    SignalsBlocked blocked;
    pid_t child = clone(child_main, static_cast<char*>(stack) + STACK_SIZE, flags, &shared);
    result.fault = child < 0 ? SystemError("clone", "", errno).what() : await_child(child);
  }
  result.trial = *trial;
  munmap(stack, STACK_SIZE);
  return result;
}

Trial try_backdoor(Backdoor& backdoor, bool channel) {
  Trial trial;
  question(backdoor, trial, channel);
  return trial;
}

}  // namespace vmtpy::wire
