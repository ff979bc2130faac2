// Time, behind a seam: every timeout of the project goes through here, so that a test can turn the
// clock by hand (doubles/manual_clock.h) instead of sleeping.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace vmtpy {

using Duration = std::chrono::nanoseconds;
using Time =
    std::chrono::steady_clock::time_point;  // CLOCK_MONOTONIC: stepping the date is harmless

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
  // Since this machine was booted, with the time that it was suspended for.
  virtual Duration uptime() const = 0;
  // Waits for `changed` or for `deadline`; false when the deadline has passed. Like every wait on a
  // condition it may also return early, so the caller tests its condition again.
  virtual bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                          Time deadline) = 0;
};

class SteadyClock final : public Clock {
 public:
  Time now() const override;
  Duration uptime() const override;
  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                  Time deadline) override;
};

}  // namespace vmtpy
