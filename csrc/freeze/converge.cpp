// The controller: measuring the rates, and lowering the bounds. It relies on nothing but the facts
// and times that it is given.
#include "freeze/converge.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace vmtpy::freeze {

namespace {

using Seconds = std::chrono::duration<double>;

// The kernel writes half a second's worth at once, so the measurements are as uneven as that.
constexpr double MEMORY = 4.0;             // in seconds; a measurement counts 1/e after this time
constexpr double LEAST_MEASURED = 0.15;    // a rate takes this many seconds of writing
constexpr double LEAST_WRITTEN = 4 << 20;  // a rate takes this many bytes
// Where less is dirty, a disk is as slow as its writers, which does not tell what it could take.
constexpr std::int64_t ENOUGH_DIRTY = 8 << 20;
constexpr double USUAL_RATE = 25 << 20;  // bytes a second, used where nothing is known
// Bytes. Where less is being written at once, the disk waits for its writers.
constexpr std::int64_t FLOW = 256 << 10;

// The first bound, × what is dirty, and that of a disk which is faster than its writers. At 1.33
// the kernel would not begin to write.
constexpr double START = 1.3;
// The bound while the kernel has enough to write. It paces nobody then, unless more gets dirty than
// there was.
constexpr double FREE = 1.5;
// After so long without a write the bound comes nearer: where vm.dirty_background_ratio is more
// than half of vm.dirty_ratio, the kernel begins later.
constexpr Duration IDLE = std::chrono::milliseconds(200);
// Writers outrun a disk if they dirty more than this part of what it takes. Below CALM they have
// stopped, unless it is the pacing that slows them down.
constexpr double OUTRUN = 0.75;
constexpr double CALM = 0.2;
constexpr double PACED = 0.75;          // × the bound; from here on the kernel paces
constexpr double LEAST_COMPARED = 1.0;  // in seconds of watching the writers
// No bound comes nearer to what is dirty than this multiple. There writers get about half of what
// the disk takes, and hardly a tenth where the bound has to fall steeply and their pauses are
// longer.
constexpr double MARGIN = 1.06;
constexpr double STEEP_MARGIN = 1.01;

// The part of what the disk takes by which the bounds fall. The writers keep the rest.
constexpr double GENTLE = 0.5;
constexpr double STEEP = 0.9;
// The part of what the disk has written by which the bounds fall whatever writers do. A kernel that
// takes a disk for much faster than it is slows nobody down below the bound; they stop at it.
constexpr double LEAST_FALL = 0.4;
// In seconds; the goal should be reached this long before the deadline.
constexpr double RESERVE = 10.0;
// × what is needed, because dirty pages follow the bound with a delay.
constexpr double HASTE = 1.5;

// The target is this part of what the disk takes within the goal. The rest is for the journal, and
// for what writers dirty until they stand still.
constexpr double AIM = 0.75;
// At a bound of 1 the dirty pages are 0.75 to 0.95.
constexpr double HIGHEST_FLOOR = 1.3;  // × the target
constexpr double LOWEST_FLOOR = 0.6;
// The floor falls by this each second in which the target is not reached.
constexpr double FLOOR_FALL = 0.1;
constexpr double REACHED = 1.1;             // × the target
constexpr double LEAST_TARGET = 256 << 10;  // bytes
constexpr double LEAST_BOUND = 128 << 10;   // bytes
// Seconds of watching before the goal may be called hopeless.
constexpr double SURE_AFTER = 10.0;

double total(const std::vector<std::int64_t>& bytes) {
  return static_cast<double>(std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0}));
}

}  // namespace

Convergence::Convergence(Duration goal, Time deadline)
    : goal_(goal), deadline_(deadline), floor_(HIGHEST_FLOOR) {}

void Convergence::observe(Time now, const WritebackFacts& facts) {
  const bool first = facts_.dirty.size() != facts.dirty.size();
  const Duration passed = first ? Duration::zero() : now - last_;
  if (!first && passed <= Duration::zero()) return;
  if (!first) measure(passed, facts);
  last_ = now;
  facts_ = facts;
  dirty_ = std::accumulate(facts.dirty.begin(), facts.dirty.end(), std::int64_t{0});
  if (begun()) lower(passed);
}

void Convergence::measure(Duration passed, const WritebackFacts& facts) {
  const double seconds = Seconds(passed).count();
  const double kept = std::exp(-seconds / MEMORY);
  const std::int64_t dirty =
      std::accumulate(facts.dirty.begin(), facts.dirty.end(), std::int64_t{0});
  const double written = std::max<double>(0, static_cast<double>(facts.written - facts_.written));
  written_ = written;
  if (facts.writing >= FLOW) flowed_at_ = last_ + passed;
  if (dirty_ >= ENOUGH_DIRTY && (facts.writing >= FLOW || facts_.writing >= FLOW)) {
    busy_bytes_ = busy_bytes_ * kept + written;
    busy_seconds_ = busy_seconds_ * kept + seconds;
  }
  const double gained = written + static_cast<double>(dirty - dirty_);
  gained_bytes_ = gained_bytes_ * kept + gained;
  seconds_ = seconds_ * kept + seconds;
}

bool Convergence::has_measured() const {
  return busy_seconds_ >= LEAST_MEASURED && busy_bytes_ >= LEAST_WRITTEN;
}

double Convergence::disk_rate() const {
  return has_measured() ? busy_bytes_ / busy_seconds_ : std::max(facts_.kernel_rate, USUAL_RATE);
}

double Convergence::writer_rate() const {
  return seconds_ > 0 ? std::max(0.0, gained_bytes_ / seconds_) : 0;
}

Duration Convergence::expected_hold() const {
  return std::chrono::duration_cast<Duration>(Seconds(static_cast<double>(dirty_) / disk_rate()));
}

double Convergence::target() const {
  return std::max(LEAST_TARGET, AIM * disk_rate() * Seconds(goal_).count());
}

bool Convergence::reached() const {
  return static_cast<double>(dirty_) <= target() * REACHED;
}

// Returns the part of the disk's rate by which the bounds fall: what has to go, compared with what
// the disk can take until shortly before the deadline.
double Convergence::share() const {
  const double left = Seconds(deadline_ - last_).count() - RESERVE;
  const double could = disk_rate() * left;
  const double excess = static_cast<double>(dirty_) - target();
  if (excess <= 0) return GENTLE;
  return could > 0 ? std::clamp(HASTE * excess / could, GENTLE, STEEP) : STEEP;
}

bool Convergence::hopeless() const {
  if (!begun() || reached() || !has_measured()) return false;
  if (Seconds(last_ - begun_at_).count() < SURE_AFTER) return false;
  const double left = Seconds(deadline_ - last_).count();
  return static_cast<double>(dirty_) - target() > disk_rate() * std::max(left, 0.0) / STEEP;
}

void Convergence::begin() {
  begun_at_ = last_;
  flowed_at_ = last_;
  bounds_.clear();
  lowest_ = facts_.dirty;
  const double least = target() * floor_ / static_cast<double>(facts_.dirty.size());
  for (const std::int64_t dirty : facts_.dirty) {
    const double bound = static_cast<double>(dirty) * START;
    bounds_.push_back(static_cast<std::int64_t>(std::max(bound, least)));
  }
}

void Convergence::compare_rates() {
  if (!has_measured() || seconds_ < LEAST_COMPARED) return;
  const double part = writer_rate() / disk_rate();
  const bool paced = static_cast<double>(dirty_) >= PACED * total(bounds_);
  if (part > OUTRUN && !outrun_) {
    outrun_ = true;
    ceiling_ = std::max(total(bounds_), static_cast<double>(dirty_) * START);
  }
  if (part < CALM && !paced) outrun_ = false;
}

void Convergence::lower(Duration passed) {
  compare_rates();
  ceiling_ -= LEAST_FALL * written_;
  const double seconds = Seconds(passed).count();
  const double all = std::max(1.0, total(bounds_));
  const double goal = target();
  const double part_of_disk = share();
  const double fall = part_of_disk * disk_rate() * seconds;
  const double steep = (part_of_disk - GENTLE) / (STEEP - GENTLE);
  const double margin = MARGIN - steep * (MARGIN - STEEP_MARGIN);
  if (all <= goal * floor_ * MARGIN) {
    floor_ = std::max(LOWEST_FLOOR, floor_ - FLOOR_FALL * seconds);
  }
  const bool busy = static_cast<double>(facts_.writing) > disk_rate() * Seconds(goal_).count();
  const double distance = busy ? FREE : idle() < IDLE ? START : MARGIN;
  for (std::size_t index = 0; index < bounds_.size(); ++index) {
    const double dirty = static_cast<double>(facts_.dirty[index]);
    const double bound = static_cast<double>(bounds_[index]);
    const double part = bound / all;
    const double least = std::max(goal * floor_ * part, LEAST_BOUND);
    const double lower = std::max(std::min(bound, dirty * START) - fall * part, dirty * margin);
    const double paced = std::min(lower, ceiling_ * part);
    lowest_[index] = std::min(lowest_[index], facts_.dirty[index]);
    const double most = static_cast<double>(lowest_[index]) * FREE;
    double next = outrun_ ? paced : std::max(std::min(dirty * distance, most), dirty * margin);
    if (facts_.writing < FLOW) next = std::min(next, dirty * distance);  // the kernel is to begin
    bounds_[index] = static_cast<std::int64_t>(std::max(next, least));
  }
}

}  // namespace vmtpy::freeze
