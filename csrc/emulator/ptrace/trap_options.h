// What of VMware a traced program sees. This is plain data for `vmtpy emulate` and the tests. It is
// apart from trap.h so that the tracer can read it.
#pragma once

#include <optional>
#include <string>

#include "emulator/ptrace/cpuid.h"

namespace vmtpy::emulator {

// The instructions of the backdoor that are answered. The others fault, as on a machine without a
// backdoor.
enum class BackdoorKind {
  NONE,
  FULL,  // the ports and, for programs that use them, hypercalls
  // Hypercalls alone. CPUID announces those that fault on this machine, so that they reach the
  // host.
  // The ports after iopl(3), which is played, too. CPUID is left alone.
  HYPERCALL,
  VMPORT,
};

struct TrapHostOptions {
  CpuidMethod cpuid = CpuidMethod::FAULT;  // PATCH stands in where the processor cannot fault
  BackdoorKind backdoor = BackdoorKind::FULL;
  // Calls on AF_VSOCK lead to the VsockService with this base, or with "" to the one on AF_VSOCK.
  std::optional<std::string> vsock = std::nullopt;
};

}  // namespace vmtpy::emulator
