// The time as a number under a lock, and a list of those who wait for it. It relies on every waiter
// holding its own mutex.
#include "doubles/manual_clock.h"

#include <algorithm>

namespace vmtpy::doubles {

Time ManualClock::now() const {
  MutexLock guard(mutex_);
  return now_;
}

Duration ManualClock::uptime() const {
  return now().time_since_epoch();
}

bool ManualClock::wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                             Time deadline) {
  std::list<Waiter>::iterator me;
  {
    MutexLock guard(mutex_);
    if (now_ >= deadline) return false;
    me = waiters_.insert(waiters_.end(), {.mutex = lock.mutex(), .changed = &changed});
  }
  changed.wait(lock);
  MutexLock guard(mutex_);
  waiters_.erase(me);
  return now_ < deadline;
}

// Each waiter's own mutex is taken before the waiter is notified, so the waiter has either reached
// its wait or will see the new time. The list is copied, because a waiter that wakes takes mutex_
// to leave it.
void ManualClock::advance(Duration by) {
  std::list<Waiter> waiting;
  {
    MutexLock guard(mutex_);
    now_ += by;
    for (Waiter& waiter : waiters_) waiter.woken = true;
    waiting = waiters_;
  }
  for (const Waiter& waiter : waiting) {
    std::lock_guard guard(*waiter.mutex);
    waiter.changed->notify_all();
  }
}

int ManualClock::waiting() const {
  MutexLock guard(mutex_);
  return static_cast<int>(std::ranges::count(waiters_, false, &Waiter::woken));
}

void ManualClock::jump(Duration by) {
  MutexLock guard(mutex_);
  now_ += by;
}

}  // namespace vmtpy::doubles
