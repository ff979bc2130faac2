// One attempt to reach VMware's backdoor by one way. The real instructions are tried in a
// short-lived child by whose fault nobody is disturbed: no signal handler is installed in this
// process, no SIGCHLD is raised, other threads go on. Serves wire/probe.h.
#pragma once

#include <cstdint>
#include <string>

#include "wire/backdoor.h"
#include "wire/backdoor_way.h"
#include "wire/cpu.h"

namespace vmtpy::wire {

// Plain data: the child fills it in shared memory.
struct Trial {
  bool tried = false;       // the instruction was about to be executed
  bool done = false;        // and went by without a fault
  bool answered = false;    // GETVERSION as VMware answers it
  bool channel = false;     // and a message channel opened, if that was asked
  int privilege_error = 0;  // errno of the refused I/O privilege, where the way needs it
  std::uint32_t version = 0;
  std::uint32_t product = 0;
};

struct TrialResult {
  Trial trial;
  std::string fault;  // how the child ended, if not well
};

// With `channel` it is tried whether a message channel opens: GETVERSION is also answered by
// QEMU's vmport, which has none.
TrialResult try_way(BackdoorWay way, const Cpu& cpu, bool channel);
Trial try_backdoor(Backdoor& backdoor, bool channel);  // one that is known not to fault

}  // namespace vmtpy::wire
