// The ptrace host: runs any unmodified x86-64 program, and where it (or any thread or descendant)
// faults on one of the backdoor's instructions, the Device answers and the program goes on.
// Everything else (other faults, signals, threads, forks, execs, exit codes) is as without us.
// CPUID says "VMwareVMware" too, as far as the processor lets us (host/cpuid.h). One native thread
// traces; the owner waits for the end and reads the Device's transcript meanwhile. On request the
// program's sockets of AF_VSOCK lead to a VsockService (host/socket_calls.h).
//
// The limits of it: a thread that faults while it blocks or ignores SIGSEGV has the signal
// unblocked and its handler reset by the kernel before we see it (force_sig); the mask is put back
// where it is plain that every signal was blocked, the handler cannot be.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "host/cpuid.h"
#include "host/device.h"

namespace vmtpy::host {

// Which of the backdoor's instructions are answered; the others fault, as where there is none.
enum class BackdoorKind {
  NONE,
  FULL,       // the ports and, for whoever makes them, hypercalls
  HYPERCALL,  // hypercalls alone; CPUID announces those that fault here, so that we hear of them
  VMPORT,     // the ports, after iopl(3), which is played, too; CPUID is left alone
};

struct TrapHostOptions {
  CpuidMethod cpuid = CpuidMethod::FAULT;  // PATCH instead where the processor cannot fault
  BackdoorKind backdoor = BackdoorKind::FULL;
  // Calls on AF_VSOCK lead to the VsockService with this base; with "", to that on AF_VSOCK.
  std::optional<std::string> vsock = std::nullopt;
};

class TrapHost {
 public:
  TrapHost(std::shared_ptr<Device> device, std::vector<std::string> command,
           TrapHostOptions options = {});
  ~TrapHost();  // detaches what still runs; nothing is killed. In a fork it does nothing

  void start();  // throws SystemError: fork, ptrace or exec refused, with the program's name
  // True when the program and all its traced descendants have ended.
  bool wait(Time deadline);
  // True when the program itself has ended; descendants may still run.
  bool wait_program(Time deadline);
  int wait_status() const;  // of the program, as waitpid(2) gives it
  int process() const;      // its pid
  // The virtual machine is stunned: all threads of the program and its descendants stand still
  // until resume(). It begins when a message is in flight (Device::stun), at the latest at the
  // deadline; true if one was.
  bool stun(Time deadline);
  void resume();                       // with CHECKPOINT for each message that was in flight
  void signal(int number);             // send it a signal; nothing if it has ended
  CpuidMethod cpuid_answered() const;  // how CPUID is answered: NONE where it cannot be

 private:
  class Tracer;
  std::unique_ptr<Tracer> tracer_;
  pid_t process_;  // that has the tracer's thread
};

}  // namespace vmtpy::host
