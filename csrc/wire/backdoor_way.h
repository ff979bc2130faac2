// The ways by which this machine may reach the backdoor, and the Backdoor for each. wire/probe.h
// finds out which of them work.
#pragma once

#include <memory>

#include "wire/backdoor.h"
#include "wire/cpu.h"

namespace vmtpy::wire {

enum class BackdoorWay {
  NONE,
  PORT,  // in, rep outsb, rep insb
  // The same instructions, with I/O privilege for the time of each.
  PRIVILEGED_PORT,
  VMCALL,
  VMMCALL,
};

// Returns a backdoor, without high bandwidth in an encrypted guest. Returns nothing for
// BackdoorWay::NONE.
std::unique_ptr<Backdoor> make_backdoor(BackdoorWay way, const Cpu& cpu);

}  // namespace vmtpy::wire
