// A clock that tests turn by hand. advance() wakes whoever waits on it.
#pragma once

#include <list>

#include "base/clock.h"

namespace vmtpy::doubles {

class ManualClock final : public Clock {
 public:
  Time now() const override;
  Duration uptime() const override;
  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                  Time deadline) override;
  void advance(Duration by);
  // Moves the time, also back, and wakes nobody: as a process finds it that was stopped, or sleeps.
  void jump(Duration by);

 private:
  struct Waiter {
    std::mutex* mutex;
    std::condition_variable* changed;
  };
  mutable std::mutex mutex_;
  Time now_{std::chrono::seconds(1)};
  std::list<Waiter> waiters_;
};

}  // namespace vmtpy::doubles
