// Finds out whether VMware is there and by which way the backdoor can be reached. The backdoor's
// own answer decides. CPUID says whether to try the hypercalls, and names the surroundings.
// vmtpy/_probe.py judges the case.
#pragma once

#include <cstdint>
#include <string>

#include "wire/backdoor.h"
#include "wire/backdoor_way.h"
#include "wire/cpu.h"

namespace vmtpy::wire {

enum class Presence {
  VMWARE,      // GETVERSION is answered as VMware does, and a message channel opens
  NO_CHANNEL,  // GETVERSION is answered, but no channel opens, as with QEMU's vmport
  FAULT,       // the instruction faulted: there is no backdoor, or not for this process
  NO_ANSWER,   // the instruction did not fault, yet nobody answered
  UNDECIDED,   // the instruction could not be tried, for example for want of a process
};

struct Probe {
  Presence presence = Presence::UNDECIDED;
  BackdoorWay way = BackdoorWay::NONE;  // the way by which the backdoor answers
  std::uint32_t version = 0;            // 6 on every VMware product since 2002
  std::uint32_t product = 0;            // wire::Product, 0 if unknown
  Cpu cpu;
  int privilege_error = 0;  // the errno of iopl(2), where that was refused
  std::string reason;       // one sentence for people, empty when presence is VMWARE
};

struct ProbeOptions {
  bool ports = true;
  bool hypercalls = true;
  // A host that also announces VMware in CPUID is believed to have message channels. With this
  // option it is asked for one, as all other hosts are.
  bool ask_channel = false;
};

// Tries the real instructions safely (wire/trial.h). First come the ports. Where they fault, the
// ports with I/O privilege follow, but not on bare metal, where a device may be at that port. Then
// come the hypercalls that CPUID announces. The first way that answers counts.
Probe probe_machine(const ProbeOptions& options = {}, const Cpu& cpu = read_cpu());
// Asks the same of a backdoor that is known not to fault.
Probe probe(Backdoor& backdoor, const Cpu& cpu = read_cpu());

}  // namespace vmtpy::wire
