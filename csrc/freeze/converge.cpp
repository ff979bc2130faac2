// The controller, which lowers the bounds. It relies on nothing but the facts and times that it is
// given, and on the rates that follow from them.
#include "freeze/converge.h"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace vmtpy::freeze {

namespace {

using Seconds = std::chrono::duration<double>;

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
constexpr double PACED = 0.75;  // × the bound; from here on the kernel paces
// But for LEAST_FALL no bound comes nearer to what is dirty than this multiple. There writers get
// about half of what the disk takes, and hardly a tenth where the bound has to fall steeply and
// their pauses are longer.
constexpr double MARGIN = 1.06;
constexpr double STEEP_MARGIN = 1.01;

// The part of what the disk takes by which the bounds fall. The writers keep the rest.
constexpr double GENTLE = 0.5;
constexpr double STEEP = 0.9;
// The part of what was written back by which the bounds fall whatever writers do. A kernel that
// takes a disk for much faster than it is slows nobody down below the bound; they stop at it. (What
// else a disk writes, such as direct I/O, makes no dirty page less.)
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
constexpr double LEAST_BOUND = 128 << 10;   // bytes; the kernel takes none below a page or two
constexpr double LEAST_PART = 0.5;          // of a device's share, if all had the same
// Seconds of watching before the goal may be called hopeless.
constexpr double SURE_AFTER = 10.0;
constexpr double DOUBT = 1.1;  // × the measured rate; a disk may be that much faster

double total(const std::vector<std::int64_t>& bytes) {
  return static_cast<double>(std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0}));
}

}  // namespace

Convergence::Convergence(Duration goal, Time deadline) : goal_(goal), deadline_(deadline) {}

void Convergence::observe(Time now, const WritebackFacts& facts) {
  const Duration passed = rates_.observe(now, facts);
  dirty_ = rates_.facts().dirty_in_all();
  if (passed == Duration::zero()) return;
  if (facts.flows()) flowed_at_ = now;
  if (begun()) lower(passed);
}

Duration Convergence::expected_hold() const {
  const Seconds hold(static_cast<double>(dirty_) / rates_.disk_rate());
  return std::chrono::duration_cast<Duration>(hold);
}

double Convergence::target() const {
  return std::max(LEAST_TARGET, AIM * rates_.disk_rate() * Seconds(goal_).count());
}

bool Convergence::reached() const {
  return static_cast<double>(dirty_) <= target() * REACHED;
}

// Returns the part of the disk's rate by which the bounds fall: what has to go, compared with what
// the disk can take until shortly before the deadline.
double Convergence::share() const {
  const double left = Seconds(deadline_ - rates_.last()).count() - RESERVE;
  const double could = rates_.disk_rate() * left;
  const double excess = static_cast<double>(dirty_) - target();
  if (excess <= 0) return GENTLE;
  return could > 0 ? std::clamp(HASTE * excess / could, GENTLE, STEEP) : STEEP;
}

bool Convergence::hopeless() const {
  if (!begun() || reached() || !rates_.has_measured()) return false;
  if (Seconds(rates_.last() - begun_at_).count() < SURE_AFTER) return false;
  const double left = Seconds(deadline_ - rates_.last()).count();
  const double could = DOUBT * rates_.disk_rate() * std::max(left, 0.0);
  return static_cast<double>(dirty_) - target() > could;
}

void Convergence::begin() {
  begun_at_ = rates_.last();
  flowed_at_ = rates_.last();
  floor_ = HIGHEST_FLOOR;
  outruns_ = false;
  bounds_.clear();
  lowest_ = rates_.facts().dirty;
  const double least =
      std::max(target() * floor_ / static_cast<double>(lowest_.size()), LEAST_BOUND);
  for (const std::int64_t dirty : lowest_) {
    const double bound = static_cast<double>(dirty) * START;
    bounds_.push_back(static_cast<std::int64_t>(std::max(bound, least)));
  }
}

void Convergence::compare_rates() {
  if (!rates_.has_measured() || !rates_.knows_writers()) return;
  const double part = rates_.writer_rate() / rates_.disk_rate();
  const bool paced = static_cast<double>(dirty_) >= PACED * total(bounds_);
  if (part > OUTRUN && !outruns_) {
    outruns_ = true;
    ceiling_ = std::max(total(bounds_), static_cast<double>(dirty_) * START);
  }
  if (part < CALM && !paced) outruns_ = false;
}

void Convergence::lower(Duration passed) {
  compare_rates();
  const double seconds = Seconds(passed).count();
  const double all = std::max(1.0, total(bounds_));
  const double goal = target();
  const Step step = this->step(seconds);
  ceiling_ -= LEAST_FALL * static_cast<double>(rates_.written_back());
  if (all <= goal * floor_ * MARGIN) {
    floor_ = std::max(LOWEST_FLOOR, floor_ - FLOOR_FALL * seconds);
  }
  for (std::size_t index = 0; index < bounds_.size(); ++index) {
    const double part = static_cast<double>(bounds_[index]) / all;
    // A device that had nothing to write when the pacing began may have something by now.
    const double least_part = std::max(part, LEAST_PART / static_cast<double>(bounds_.size()));
    const double least = std::max(goal * floor_ * least_part, LEAST_BOUND);
    const double followed = follow(index, step.margin);
    double next = outruns_ ? outrun(index, part, step) : followed;
    if (!rates_.facts().flows()) {  // the kernel is to begin
      next = std::min(next, distance() * static_cast<double>(rates_.facts().dirty[index]));
    }
    bounds_[index] = static_cast<std::int64_t>(std::max(next, least));
  }
}

Convergence::Step Convergence::step(double seconds) const {
  const double part = share();
  const double steep = (part - GENTLE) / (STEEP - GENTLE);
  return {part * rates_.disk_rate() * seconds, MARGIN - steep * (MARGIN - STEEP_MARGIN)};
}

// Returns the next bound of a disk that is faster than its writers: it follows what is dirty.
double Convergence::follow(std::size_t index, double margin) {
  const std::int64_t bytes = rates_.facts().dirty[index];
  lowest_[index] = std::min(lowest_[index], bytes);
  const double dirty = static_cast<double>(bytes);
  const double most = static_cast<double>(lowest_[index]) * FREE;
  return std::max(std::min(dirty * distance(), most), dirty * margin);
}

// Returns the next bound where writers outrun the disk: it falls, before what is dirty.
double Convergence::outrun(std::size_t index, double part, const Step& step) const {
  const double dirty = static_cast<double>(rates_.facts().dirty[index]);
  const double bound = static_cast<double>(bounds_[index]);
  const double fallen = std::min(bound, dirty * START) - step.fall * part;
  return std::min(std::max(fallen, dirty * step.margin), ceiling_ * part);
}

// Returns the multiple of what is dirty that makes the kernel begin to write, or leaves it writing.
double Convergence::distance() const {
  const double enough = rates_.disk_rate() * Seconds(goal_).count();
  if (static_cast<double>(rates_.facts().writing) > enough) return FREE;
  return idle() < IDLE ? START : MARGIN;
}

}  // namespace vmtpy::freeze
