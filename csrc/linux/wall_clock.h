// The guest's own clock of the day: whether it is kept, and how it is moved. It serves the time
// service, which makes every decision.
#pragma once

#include <cstdint>

namespace vmtpy::linux {

// Returns true when somebody keeps the kernel's clock: adjtimex shows STA_UNSYNC clear.
bool wall_clock_is_kept();

// Both throw SystemError, for example when the process lacks the right.
void step_wall_clock(std::int64_t by_us);
// The clock moves by half a millisecond a second, as in adjtime(3).
void slew_wall_clock(std::int64_t by_us);

}  // namespace vmtpy::linux
