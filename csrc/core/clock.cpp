#include "core/clock.h"

namespace vmtpy {

Time SteadyClock::now() const {
  return std::chrono::steady_clock::now();
}

bool SteadyClock::wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                             Time deadline) {
  return changed.wait_until(lock, deadline) == std::cv_status::no_timeout;
}

}  // namespace vmtpy
