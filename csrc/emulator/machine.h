// Facts about the real machine, which the emulated VMware passes on as the virtual machine's. They
// serve emulator/device.h and emulator/ptrace.
#pragma once

#include <cstdint>

namespace vmtpy::emulator {

std::uint64_t tsc_hz();  // measured once, with an error of a few parts in a thousand
std::uint32_t memory_mib();

// The hypercalls of VMware that fault on this machine, as CPUID announces them (ecx of VMware's
// leaf). Only these can be answered by ptrace; KVM, for one, takes vmcall for its own. The machine
// is tried once.
std::uint32_t faulting_hypercalls();

struct WallTime {
  std::uint64_t seconds;  // since 1970
  std::uint32_t microseconds;
};
WallTime wall_time();

}  // namespace vmtpy::emulator
