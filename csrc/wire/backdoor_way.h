// The ways by which the backdoor may be reached from here, and the Backdoor for each. Which of them
// is there, wire/probe.h finds out.
#pragma once

#include <memory>

#include "wire/backdoor.h"
#include "wire/cpu.h"

namespace vmtpy::wire {

enum class BackdoorWay {
  NONE,
  PORT,             // in, rep outsb, rep insb
  PRIVILEGED_PORT,  // the same, with I/O privilege for the time of each
  VMCALL,
  VMMCALL,
};

// Without high bandwidth in an encrypted guest. Nothing for BackdoorWay::NONE.
std::unique_ptr<Backdoor> make_backdoor(BackdoorWay way, const Cpu& cpu);

}  // namespace vmtpy::wire
