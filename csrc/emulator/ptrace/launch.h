// Starts a program under ptrace. The calling thread forks it and traces it from before its exec, so
// that every thread and descendant is traced from its first instruction on. This serves
// emulator/ptrace/tracer.h.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace vmtpy::emulator {

// Returns the pid of the child, which is stopped at the end of its exec. Throws SystemError, and
// then leaves no process behind. The program gets `mask` as its signal mask, and the default action
// for SIGPIPE and SIGXFSZ, which an interpreter ignores for itself (as subprocess.Popen does).
//
// With `vsock_calls` the program's system calls on vsock wait for an answer on the descriptor to
// which this is set (emulator/ptrace/seccomp_filter.h).
pid_t launch(const std::vector<std::string>& command, const sigset_t& mask,
             UniqueFd* vsock_calls = nullptr);

}  // namespace vmtpy::emulator
