// Is VMware there? The backdoor's own answer decides; CPUID is only a hint for the message.
// probe_ports() tries the instruction in a short-lived child that shares nothing by which a fault
// could be noticed here: no signal handler is installed in this process, no SIGCHLD is raised,
// other threads go on.
#pragma once

#include <cstdint>
#include <string>

#include "core/backdoor.h"

namespace vmtpy {

enum class Presence {
  VMWARE,     // GETVERSION answered as VMware does
  FAULT,      // the instruction faulted: no backdoor, or not for this process
  NO_ANSWER,  // it did not fault, yet nobody answered
  UNDECIDED,  // it could not be tried (no process to be had)
};

struct Probe {
  Presence presence = Presence::UNDECIDED;
  std::uint32_t version = 0;  // 6 on every VMware product since 2002
  std::uint32_t product = 0;  // wire::Product, 0 if unknown
  std::string hypervisor;  // CPUID leaf 0x40000000, "" on bare metal: "VMwareVMware", "KVMKVMKVM"
  std::string reason;      // one sentence for people; empty when presence is VMWARE
};

Probe probe_ports();              // the real instruction, safely
Probe probe(Backdoor& backdoor);  // the same question to a backdoor known not to fault

}  // namespace vmtpy
