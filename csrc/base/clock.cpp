// The clock of the real machine. It relies on CLOCK_MONOTONIC for the time, and on CLOCK_BOOTTIME
// for the uptime.
#include "base/clock.h"

#include <ctime>

namespace vmtpy {

Time SteadyClock::now() const {
  return std::chrono::steady_clock::now();
}

Duration SteadyClock::uptime() const {
  timespec since_boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  return std::chrono::seconds(since_boot.tv_sec) + std::chrono::nanoseconds(since_boot.tv_nsec);
}

bool SteadyClock::wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                             Time deadline) {
  return changed.wait_until(lock, deadline) == std::cv_status::no_timeout;
}

}  // namespace vmtpy
