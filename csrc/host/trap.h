// The ptrace host: runs any unmodified x86-64 program, and where it (or any thread or descendant)
// faults on one of the backdoor's three instructions, the Device answers and the program goes on.
// Everything else (other faults, signals, threads, forks, execs, exit codes) is as without us.
// Where the processor can fault on CPUID, leaf 1 and leaf 0x40000000 say "VMwareVMware" too. One
// native thread traces; the owner waits for the end and reads the Device's transcript meanwhile.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "host/device.h"

namespace vmtpy::host {

struct TrapHostOptions {
  bool cpuid = true;  // answer CPUID as VMware does, where the processor allows it
};

class TrapHost {
 public:
  TrapHost(std::shared_ptr<Device> device, std::vector<std::string> command,
           TrapHostOptions options = {});
  ~TrapHost();  // detaches what still runs; nothing is killed

  void start();  // throws SystemError: fork, ptrace or exec refused, with the program's name
  // True when the program and all its traced descendants have ended.
  bool wait(Time deadline);
  int wait_status() const;      // of the program, as waitpid(2) gives it
  int process() const;          // its pid
  void signal(int number);      // send it a signal
  bool cpuid_answered() const;  // false: the processor cannot fault on CPUID

 private:
  class Tracer;
  std::unique_ptr<Tracer> tracer_;
};

}  // namespace vmtpy::host
