// iopl(2), played for traced programs: a host that answers only those with I/O privilege is to be
// had also where the kernel has no iopl, or this process no right to it. At each stop at a system
// call, iopl is taken out of the kernel's hands; all others pass. Used by emulator/ptrace/tracer.h.
#pragma once

#include <sys/types.h>

#include <map>

#include "emulator/ptrace/tracee.h"

namespace vmtpy::emulator {

class IoPrivilege {
 public:
  bool raised(pid_t thread) const;
  void at_call(Tracee& tracee);          // at the begin and at the end of any call
  void born(pid_t parent, pid_t child);  // a thread or process has its parent's privilege
  void ended(pid_t thread) { threads_.erase(thread); }  // or has executed another program

 private:
  struct Thread {
    int level = 0;
    int wanted = -1;  // by the iopl that it is in; -1: it is in none
  };
  std::map<pid_t, Thread> threads_;
};

}  // namespace vmtpy::emulator
