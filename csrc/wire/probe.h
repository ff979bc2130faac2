// Is VMware there, and by which way is it reached? The backdoor's own answer decides; CPUID says
// whether to try the hypercalls, and names the surroundings. vmtpy/_probe.py judges the case.
#pragma once

#include <cstdint>
#include <string>

#include "wire/backdoor.h"
#include "wire/backdoor_way.h"
#include "wire/cpu.h"

namespace vmtpy::wire {

enum class Presence {
  VMWARE,      // GETVERSION answered as VMware does, and a message channel is to be had
  NO_CHANNEL,  // the first without the second, as with QEMU's vmport
  FAULT,       // the instruction faulted: no backdoor, or not for this process
  NO_ANSWER,   // it did not fault, yet nobody answered
  UNDECIDED,   // it could not be tried (no process to be had)
};

struct Probe {
  Presence presence = Presence::UNDECIDED;
  BackdoorWay way = BackdoorWay::NONE;  // by which it answers
  std::uint32_t version = 0;            // 6 on every VMware product since 2002
  std::uint32_t product = 0;            // wire::Product, 0 if unknown
  Cpu cpu;
  int privilege_error = 0;  // errno of iopl(2), where it was tried and refused
  std::string reason;       // one sentence for people; empty when presence is VMWARE
};

struct ProbeOptions {
  bool ports = true;
  bool hypercalls = true;
  // Whoever announces VMware in CPUID, too, is believed to have message channels; with this he is
  // asked for one as all others are.
  bool ask_channel = false;
};

// The real instructions, safely (wire/trial.h): the ports; where they fault, the ports with I/O
// privilege, but not on bare metal, where a device may be at that port; then the hypercalls that
// CPUID announces. The first that answers is taken.
Probe probe_machine(const ProbeOptions& options = {}, const Cpu& cpu = read_cpu());
// The same question to a backdoor that is known not to fault.
Probe probe(Backdoor& backdoor, const Cpu& cpu = read_cpu());

}  // namespace vmtpy::wire
