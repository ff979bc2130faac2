// Facts about the machine below, which the emulated VMware passes on as the virtual machine's.
#pragma once

#include <cstdint>

namespace vmtpy::emulator {

std::uint64_t tsc_hz();  // measured once, within a few parts in a thousand
std::uint32_t memory_mib();

// VMware's hypercalls that fault here, as CPUID announces them (ecx of VMware's leaf): only these
// can be answered by ptrace. KVM, for one, takes vmcall for its own. Tried once.
std::uint32_t faulting_hypercalls();

struct WallTime {
  std::uint64_t seconds;  // since 1970
  std::uint32_t microseconds;
};
WallTime wall_time();

}  // namespace vmtpy::emulator
