// Counts the runs. It relies on nothing: the numbers are atomic, and may be read while a conductor
// changes them.
#include "freeze/unsettled.h"

#include <atomic>

namespace vmtpy::freeze {

namespace {

std::atomic<int> runs{0};
std::atomic<Duration::rep> since{0};

}  // namespace

Time unsettled_since() {
  return runs > 0 ? Time{Duration{since}} : Time{};
}

void run_is_unsettled(Time now) {
  if (runs == 0) since = std::chrono::duration_cast<Duration>(now.time_since_epoch()).count();
  ++runs;
}

void run_is_settled() {
  --runs;
}

}  // namespace vmtpy::freeze
