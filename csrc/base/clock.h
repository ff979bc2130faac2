// The seam for time. Every timeout of the project goes through Clock, so that a test can turn the
// clock by hand (doubles/manual_clock.h) instead of sleeping.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace vmtpy {

using Duration = std::chrono::nanoseconds;
// Time is CLOCK_MONOTONIC, so a change of the date moves no deadline.
using Time = std::chrono::steady_clock::time_point;

// A clock is owned by whoever makes an agent, a session or an emulated host, and outlives all that
// refer to it. Every function may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
  // The time since this machine was booted, including the time for which it was suspended.
  virtual Duration uptime() const = 0;
  // Waits until `changed` is notified or `deadline` has passed, and returns false in the second
  // case. Like every wait on a condition it may also return early, so the caller tests its
  // condition again.
  virtual bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                          Time deadline) = 0;
};

// The real clock. It has no state, so any number of them are the same clock.
class SteadyClock final : public Clock {
 public:
  Time now() const override;
  Duration uptime() const override;
  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                  Time deadline) override;
};

}  // namespace vmtpy
