// Facts about the machine below, which the emulated VMware passes on as the virtual machine's.
#pragma once

#include <cstdint>

namespace vmtpy::host {

std::uint64_t tsc_hz();  // measured once, within a few parts in a thousand
std::uint32_t memory_mib();

struct WallTime {
  std::uint64_t seconds;  // since 1970
  std::uint32_t microseconds;
};
WallTime wall_time();

}  // namespace vmtpy::host
