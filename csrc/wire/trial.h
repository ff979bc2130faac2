// One attempt to reach VMware's backdoor by one way. The real instructions are executed in a
// short-lived child, whose fault disturbs nobody: this process installs no signal handler and gets
// no SIGCHLD, and its other threads go on. It serves wire/probe.h.
#pragma once

#include <cstdint>
#include <string>

#include "wire/backdoor.h"
#include "wire/backdoor_way.h"
#include "wire/cpu.h"

namespace vmtpy::wire {

// Plain data, which the child fills in shared memory.
struct Trial {
  bool tried = false;       // the instruction was about to be executed
  bool done = false;        // it was executed without a fault
  bool answered = false;    // GETVERSION was answered as VMware answers it
  bool channel = false;     // a message channel opened, if that was asked for
  int privilege_error = 0;  // the errno of the refused I/O privilege, where the way needs it
  std::uint32_t version = 0;
  std::uint32_t product = 0;
};

struct TrialResult {
  Trial trial;
  std::string fault;  // how the child ended, if it did not end well
};

// With `channel` the trial also opens a message channel, because QEMU's vmport answers GETVERSION
// but has no channels.
TrialResult try_way(BackdoorWay way, const Cpu& cpu, bool channel);
Trial try_backdoor(Backdoor& backdoor, bool channel);  // for a backdoor that is known not to fault

}  // namespace vmtpy::wire
