// Measures the rates, of which old looks have a smaller and smaller part. It relies on nothing but
// the facts and times that it is given.
#include "freeze/writeback_rates.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace vmtpy::freeze {

namespace {

// The kernel writes half a second's worth at once, so the measurements are as uneven as that.
constexpr double MEMORY = 4.0;             // in seconds; a measurement counts 1/e after this time
constexpr double LEAST_MEASURED = 0.15;    // a rate takes this many seconds of writing
constexpr double LEAST_WRITTEN = 4 << 20;  // a rate takes this many bytes
// Where less is dirty, a disk is as slow as its writers, which does not tell what it could take.
constexpr std::int64_t ENOUGH_DIRTY = 8 << 20;
constexpr double USUAL_RATE = 25 << 20;  // bytes a second, used where nothing is known
// Bytes. Where less is being written at once, the disk waits for its writers.
constexpr std::int64_t FLOW = 256 << 10;
constexpr double LEAST_COMPARED = 1.0;  // in seconds of watching the writers

}  // namespace

std::int64_t WritebackFacts::dirty_in_all() const {
  return std::accumulate(dirty.begin(), dirty.end(), std::int64_t{0});
}

bool WritebackFacts::flows() const {
  return writing >= FLOW;
}

Duration WritebackRates::observe(Time now, const WritebackFacts& facts) {
  const bool first = facts_.dirty.empty();
  const Duration passed = first ? Duration::zero() : now - last_;
  if (!first && passed <= Duration::zero()) return Duration::zero();
  if (!first) measure(passed, facts);
  last_ = now;
  facts_ = facts;
  return passed;
}

void WritebackRates::measure(Duration passed, const WritebackFacts& facts) {
  const double seconds = std::chrono::duration<double>(passed).count();
  const double kept = std::exp(-seconds / MEMORY);
  const std::int64_t dirty = facts_.dirty_in_all();
  const std::int64_t written = std::max<std::int64_t>(0, facts.written - facts_.written);
  // With images in files a page is written back once for each layer.
  written_back_ = std::clamp<std::int64_t>(facts.written_back - facts_.written_back, 0, written);
  if (dirty >= ENOUGH_DIRTY && (facts.flows() || facts_.flows())) {
    busy_bytes_ = busy_bytes_ * kept + static_cast<double>(written);
    busy_seconds_ = busy_seconds_ * kept + seconds;
  }
  gained_bytes_ =
      gained_bytes_ * kept + static_cast<double>(written + facts.dirty_in_all() - dirty);
  seconds_ = seconds_ * kept + seconds;
}

bool WritebackRates::has_measured() const {
  return busy_seconds_ >= LEAST_MEASURED && busy_bytes_ >= LEAST_WRITTEN;
}

double WritebackRates::disk_rate() const {
  return has_measured() ? busy_bytes_ / busy_seconds_ : std::max(facts_.kernel_rate, USUAL_RATE);
}

double WritebackRates::writer_rate() const {
  return seconds_ > 0 ? std::max(0.0, gained_bytes_ / seconds_) : 0;
}

bool WritebackRates::knows_writers() const {
  return seconds_ >= LEAST_COMPARED;
}

}  // namespace vmtpy::freeze
