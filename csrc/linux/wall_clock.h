// The guest's own clock of the day: who keeps it, and how it is moved. Serves the time service,
// which decides; nothing here decides.
#pragma once

#include <cstdint>

namespace vmtpy::linux {

// True when the kernel's clock is kept by somebody: STA_UNSYNC is clear (adjtimex).
bool wall_clock_is_kept();

// Both throw SystemError, without the right to do it for example.
void step_wall_clock(std::int64_t by_us);
void slew_wall_clock(std::int64_t by_us);  // half a millisecond a second, as adjtime(3)

}  // namespace vmtpy::linux
