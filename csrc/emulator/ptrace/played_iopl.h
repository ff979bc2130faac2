// Plays iopl(2) for traced programs, so that a host which answers only threads with I/O privilege
// can be emulated also where the kernel has no iopl or this process has no right to it. At each
// stop at a system call iopl is answered here, and all other calls pass. This serves
// emulator/ptrace/tracer.h.
#pragma once

#include <sys/types.h>

#include <map>

#include "emulator/ptrace/tracee.h"

namespace vmtpy::emulator {

// Owned by the Tracer, used by the tracing thread only, and as long-lived as the trace.
class IoPrivilege {
 public:
  bool raised(pid_t thread) const;
  void at_call(Tracee& tracee);          // called at the begin and at the end of any call
  void born(pid_t parent, pid_t child);  // a thread or process inherits its parent's privilege
  // Called when a thread has ended or has executed another program.
  void ended(pid_t thread) { threads_.erase(thread); }

 private:
  struct Thread {
    int level = 0;
    int wanted = -1;  // the level that its current iopl asks for; -1 outside of iopl
  };
  std::map<pid_t, Thread> threads_;
};

}  // namespace vmtpy::emulator
