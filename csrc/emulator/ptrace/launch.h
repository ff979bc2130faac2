// Starts a program under ptrace: forked by the calling thread, which traces it from before its
// exec, so that every thread and descendant is traced from its first instruction on. Used by
// emulator/ptrace/trap.h.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace vmtpy::emulator {

// With `vsock_calls` the program's system calls on vsock wait for a word on the descriptor that
// this is set to (emulator/ptrace/seccomp_filter.h).
//
// Returns the pid of the child, which is stopped at the end of its exec. Throws SystemError; no
// process is left behind then. The program gets `mask` as its signal mask, and the default action
// for SIGPIPE and SIGXFSZ, which an interpreter ignores for itself (as subprocess.Popen does).
pid_t launch(const std::vector<std::string>& command, const sigset_t& mask,
             UniqueFd* vsock_calls = nullptr);

}  // namespace vmtpy::emulator
