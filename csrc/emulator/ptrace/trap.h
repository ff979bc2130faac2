// The ptrace host runs any unmodified x86-64 program. Where the program (or any thread or
// descendant) faults on one of the backdoor's instructions, the Device answers and the program goes
// on. Everything else (other faults, signals, threads, forks, execs, exit codes) is as without the
// host. CPUID says "VMwareVMware", too, as far as the processor allows it
// (emulator/ptrace/cpuid.h). On request the program's sockets of AF_VSOCK lead to a VsockService
// (emulator/ptrace/socket_calls.h).
//
// One limit remains. When a thread faults while it blocks or ignores SIGSEGV, the kernel unblocks
// the signal and resets its handler before the tracer sees the fault (force_sig). The mask is put
// back where every signal clearly was blocked; the handler cannot be put back.
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

// Owned by Python. Its native thread traces; any thread may wait for the end and read the Device's
// transcript meanwhile.
class TrapHost {
 public:
  TrapHost(std::shared_ptr<Device> device, std::vector<std::string> command,
           TrapHostOptions options = {});
  // Detaches what still runs and kills nothing. In a fork it does nothing.
  ~TrapHost();

  // Throws SystemError with the program's name where fork, ptrace or exec is refused.
  void start();
  // Returns true when the program and all its traced descendants have ended.
  bool wait(Time deadline);
  // Returns true when the program itself has ended; descendants may still run.
  bool wait_program(Time deadline);
  int wait_status() const;  // the program's status, as waitpid(2) gives it
  int process() const;      // the program's pid
  // Stuns the virtual machine: all threads of the program and its descendants stand still until
  // resume(). The stun begins when a message is in flight (Device::stun), at the latest at the
  // deadline. Returns true if a message was.
  bool stun(Time deadline);
  // Ends the stun, with CHECKPOINT for each message that was in flight.
  void resume();
  // Sends the program a signal. Does nothing if it has ended.
  void signal(int number);
  // Says how CPUID is answered, NONE where it cannot be.
  CpuidMethod cpuid_answered() const;

 private:
  std::unique_ptr<Tracer> tracer_;
  pid_t process_;  // the process that has the tracing thread
};

}  // namespace vmtpy::emulator
