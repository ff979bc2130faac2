// A clock that tests turn by hand, in place of SteadyClock. Relies on waiters that use
// Clock::wait_until().
#pragma once

#include <list>

#include "base/clock.h"
#include "base/thread_safety.h"

namespace vmtpy::doubles {

// Owned by the test, and longer-lived than the objects that use it. It has its own lock, so any
// thread may call it. advance() wakes every waiter.
class ManualClock final : public Clock {
 public:
  Time now() const override;
  Duration uptime() const override;
  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                  Time deadline) override;
  void advance(Duration by);
  // Moves the time, also backwards, and wakes nobody. A process finds the time like this after it
  // was stopped or slept.
  void jump(Duration by);
  // The waiters that sleep and that advance() has not woken. Right after advance() it is 0, until
  // a woken thread has done its work and waits anew.
  int waiting() const;

 private:
  struct Waiter {
    std::mutex* mutex;
    std::condition_variable* changed;
    bool woken = false;
  };
  mutable Mutex mutex_;
  Time now_ GUARDED_BY(mutex_){std::chrono::seconds(1)};
  std::list<Waiter> waiters_ GUARDED_BY(mutex_);
};

}  // namespace vmtpy::doubles
