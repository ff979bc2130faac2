// What of VMware a traced program is to see. Plain data.
#pragma once

#include <optional>
#include <string>

#include "emulator/ptrace/cpuid.h"

namespace vmtpy::emulator {

// Which of the backdoor's instructions are answered; the others fault, as where there is none.
enum class BackdoorKind {
  NONE,
  FULL,       // the ports and, for whoever makes them, hypercalls
  HYPERCALL,  // hypercalls alone; CPUID announces those that fault here, so that we hear of them
  VMPORT,     // the ports, after iopl(3), which is played, too; CPUID is left alone
};

struct TrapHostOptions {
  CpuidMethod cpuid = CpuidMethod::FAULT;  // PATCH instead where the processor cannot fault
  BackdoorKind backdoor = BackdoorKind::FULL;
  // Calls on AF_VSOCK lead to the VsockService with this base; with "", to that on AF_VSOCK.
  std::optional<std::string> vsock = std::nullopt;
};

}  // namespace vmtpy::emulator
