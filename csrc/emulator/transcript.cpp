// A queue under a lock. Its one reader waits by the clock of the Device, so that tests can turn the
// time.
#include "emulator/transcript.h"

#include <utility>

namespace vmtpy::emulator {

void Transcript::add(MessageKind kind, Transport transport, std::string request,
                     std::string reply) {
  Time time = clock_.now();
  {
    MutexLock guard(mutex_);
    entries_.push_back({kind, transport, time, std::move(request), std::move(reply)});
    ++count_;
  }
  changed_.notify_all();
}

std::vector<TranscriptEntry> Transcript::take(Time deadline) {
  MutexLock lock(mutex_);
  while (entries_.empty() && !over_ && clock_.wait_until(lock, changed_, deadline)) {
  }
  return std::exchange(entries_, {});
}

std::uint64_t Transcript::count() const {
  MutexLock guard(mutex_);
  return count_;
}

void Transcript::end_waits() {
  {
    MutexLock guard(mutex_);
    over_ = true;
  }
  changed_.notify_all();
}

}  // namespace vmtpy::emulator
