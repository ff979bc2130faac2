// The probe. See probe.h for what it promises; the comments here say why it is done this way.
#include "core/probe.h"

#include <cpuid.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/errors.h"
#include "core/wire.h"

namespace vmtpy {
namespace {

constexpr std::size_t STACK_SIZE = 65536;  // a signal frame with AMX state takes 11 KiB of it

// What the backdoor said. Plain data: the child of probe_ports() fills it in shared memory.
struct Answer {
  bool tried = false;  // the instruction was about to be executed
  bool done = false;   // and went by without a fault
  bool vmware = false;
  std::uint32_t version = 0;
  std::uint32_t product = 0;
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

// Runs in the child too: nothing here may allocate, lock or throw.
void question(Backdoor& backdoor, volatile Answer& answer) {
  // ebx starts as what VMware would never leave there, so that an echo is no answer.
  Registers got = ask(backdoor, wire::GETVERSION, ~wire::MAGIC);
  answer.vmware = low32(got.rbx) == wire::MAGIC && low32(got.rax) != wire::UNKNOWN_COMMAND;
  if (answer.vmware) {
    answer.version = low32(got.rax);
    answer.product = low32(got.rcx);
    // Every VMware since 2002 says 6, which settles it in one trap. Whoever says something else
    // must also know his clock rate: something that answers all ports alike echoes the magic.
    if (answer.version != 6) {
      answer.vmware = low32(ask(backdoor, wire::GETMHZ, 0).rax) != wire::MAGIC;
    }
  }
  answer.done = true;
}

// CPUID: bit 31 of leaf 1's ecx says that there is a hypervisor, leaf 0x40000000 which.
std::string hypervisor_name() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & (1U << 31)) == 0) return "";
  __cpuid(0x40000000, eax, ebx, ecx, edx);
  char name[13] = {};
  std::memcpy(name, &ebx, 4);
  std::memcpy(name + 4, &ecx, 4);
  std::memcpy(name + 8, &edx, 4);
  return name;
}

std::string surroundings(const std::string& hypervisor) {
  if (hypervisor.empty()) return "the processor announces no hypervisor";
  if (hypervisor == "VMwareVMware") return "although the processor announces VMware";
  return "the processor announces the hypervisor " + hypervisor;
}

Probe judge(const volatile Answer& answer, const std::string& fault) {
  Probe probe;
  probe.hypervisor = hypervisor_name();
  if (answer.done && answer.vmware) {
    probe.presence = Presence::VMWARE;
    probe.version = answer.version;
    probe.product = answer.product;
  } else if (answer.done) {
    probe.presence = Presence::NO_ANSWER;
    probe.reason = "nobody answers at VMware's backdoor port; " + surroundings(probe.hypervisor);
  } else if (answer.tried) {
    probe.presence = Presence::FAULT;
    probe.reason =
        "VMware's backdoor port faults (" + fault + "); " + surroundings(probe.hypervisor);
  } else {
    probe.presence = Presence::UNDECIDED;
    probe.reason = "VMware's backdoor could not be tried: " + fault;
  }
  return probe;
}

// Not _exit(): sanitizers hook it, and would look for the stack of the parent's thread here.
void end_child(int signal_number) {
  syscall(SYS_exit_group, signal_number);
}

// The child: its own table of handlers (no CLONE_SIGHAND), our memory. The handlers are needed, for
// an unhandled SIGSEGV would dump core and with it end every process that shares the memory. And
// the signals must be neither blocked nor ignored at the instruction, or a host that answers the
// fault by ptrace would find the process already condemned.
int try_ports(void* argument) {
  volatile Answer& answer = *static_cast<volatile Answer*>(argument);
  struct sigaction action = {};
  action.sa_handler = end_child;
  sigset_t faults;
  sigemptyset(&faults);
  for (int fault : {SIGSEGV, SIGILL, SIGBUS}) {
    if (sigaction(fault, &action, nullptr) != 0) return 0;
    sigaddset(&faults, fault);
  }
  if (pthread_sigmask(SIG_UNBLOCK, &faults, nullptr) != 0) return 0;
  answer.tried = true;
  PortBackdoor ports;
  question(ports, answer);
  return 0;
}

// No handler of this process may run in the child, on its tiny stack and with another pid: all
// signals are blocked before it is born.
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

// How the child ended, for people. Its exit code is the signal that its handler caught.
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

Probe probe_ports() {
  Answer answer;
  void* stack = mmap(nullptr, STACK_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return judge(answer, SystemError("mmap", "", errno).what());
  std::string fault;
  {
    SignalsBlocked blocked;
    // CLONE_VFORK: this thread waits (others go on). Exit signal 0: no SIGCHLD, and no wait() of
    // the program's own can take the child away unless it asks for such children.
    pid_t child =
        clone(try_ports, static_cast<char*>(stack) + STACK_SIZE, CLONE_VM | CLONE_VFORK, &answer);
    fault = child < 0 ? SystemError("clone", "", errno).what() : await_child(child);
  }
  munmap(stack, STACK_SIZE);
  return judge(answer, fault);
}

Probe probe(Backdoor& backdoor) {
  Answer answer;
  answer.tried = true;
  question(backdoor, answer);
  return judge(answer, "");
}

}  // namespace vmtpy
