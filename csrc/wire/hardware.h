// What the host tells about the virtual machine and the time, each by one plain backdoor call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "wire/backdoor.h"

namespace vmtpy::wire {

// A fact that the host does not know is empty.
struct Hardware {
  std::optional<std::uint32_t> hardware_version;
  std::optional<std::string> uuid;  // of the BIOS: "564d1234-…"
  std::optional<std::uint32_t> memory_mib;
  std::optional<std::uint32_t> cpu_mhz;
};

Hardware read_hardware(Backdoor& backdoor);

struct HostTime {
  std::int64_t unix_us = 0;     // the host's clock, microseconds since 1970
  std::int64_t max_lag_us = 0;  // how far behind a guest may be before it matters
  std::int64_t lag_us = 0;  // how late the host is with this guest's timer interrupts; 0: unknown
};

// Nothing when the host does not know the time.
std::optional<HostTime> read_host_time(Backdoor& backdoor);

// Whether the host wants the guest's clock kept with its own. Nothing when it does not say.
std::optional<bool> read_time_option(Backdoor& backdoor);

}  // namespace vmtpy::wire
