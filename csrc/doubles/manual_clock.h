// A clock that tests turn by hand. advance() wakes whoever waits on it. Owned by the test, for
// longer than what it is given to; thread-safe.
#pragma once

#include <list>

#include "base/clock.h"
#include "base/thread_safety.h"

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
  mutable Mutex mutex_;
  Time now_ GUARDED_BY(mutex_){std::chrono::seconds(1)};
  std::list<Waiter> waiters_ GUARDED_BY(mutex_);
};

}  // namespace vmtpy::doubles
