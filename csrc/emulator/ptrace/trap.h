// The ptrace host: runs any unmodified x86-64 program, and where it (or any thread or descendant)
// faults on one of the backdoor's instructions, the Device answers and the program goes on.
// Everything else (other faults, signals, threads, forks, execs, exit codes) is as without us.
// CPUID says "VMwareVMware" too, as far as the processor lets us (emulator/ptrace/cpuid.h). One
// native thread traces; the owner waits for the end and reads the Device's transcript meanwhile. On
// request the program's sockets of AF_VSOCK lead to a VsockService
// (emulator/ptrace/socket_calls.h).
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

#include "base/clock.h"
#include "emulator/device.h"
#include "emulator/ptrace/trap_options.h"

namespace vmtpy::emulator {

class Tracer;

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
  std::unique_ptr<Tracer> tracer_;
  pid_t process_;  // that has the tracer's thread
};

}  // namespace vmtpy::emulator
