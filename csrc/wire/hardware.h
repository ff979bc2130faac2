// What the host tells about the virtual machine and about the time, each by one plain backdoor
// call. It serves the Python API and the time service.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "wire/backdoor.h"

namespace vmtpy::wire {

// A fact that the host does not know is empty.
struct Hardware {
  std::optional<std::uint32_t> hardware_version;
  std::optional<std::string> uuid;  // the UUID of the BIOS: "564d1234-…"
  std::optional<std::uint32_t> memory_mib;
  std::optional<std::uint32_t> cpu_mhz;
};

Hardware read_hardware(Backdoor& backdoor);

struct HostTime {
  std::int64_t unix_us = 0;     // the host's clock in microseconds since 1970
  std::int64_t max_lag_us = 0;  // how far a guest may be behind before it matters
  // How late the host is with this guest's timer interrupts. 0 where that is unknown.
  std::int64_t lag_us = 0;
};

// Returns nothing when the host does not know the time.
std::optional<HostTime> read_host_time(Backdoor& backdoor);

// Says whether the host wants the guest's clock kept with its own. Returns nothing when the host
// does not say.
std::optional<bool> read_time_option(Backdoor& backdoor);

}  // namespace vmtpy::wire
