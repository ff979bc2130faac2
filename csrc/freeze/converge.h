// Auto-converge, as live migration has it, for disks: how the bounds on the dirty pages of some
// devices come down, and when little enough is dirty for a freeze. Facts and the time go in; bounds
// and a verdict come out. It serves storage.cpp and touches nothing of the machine.
//
// From three quarters of the bound on the kernel writes back, until half of it is left, and paces
// the device's writers, with pauses of 200 ms at most. Above the bound they stand still. So a bound
// starts well above what is dirty. Where the disk is faster than its writers the bound follows what
// is dirty, at a distance that keeps the kernel writing and hardly slows anybody. Where it is not,
// the bound comes down by a part of what the disk takes, and is raised before the dirty pages touch
// it, as long as it falls by a lesser part all the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "freeze/writeback_rates.h"

namespace vmtpy::freeze {

// One object for each group of filesystems that share devices, owned by Storage and used by the
// conductor only.
class Convergence {
 public:
  // `goal` is how long a freeze may hold writers, and `deadline` when that has to be reached.
  Convergence(Duration goal, Time deadline);

  void observe(Time now, const WritebackFacts& facts);
  const WritebackRates& rates() const { return rates_; }
  std::int64_t dirty() const { return dirty_; }
  // How long nothing has been written by now, and whether anything has been since begin().
  Duration idle() const { return rates_.last() - flowed_at_; }
  bool has_flowed() const { return flowed_at_ != begun_at_; }
  Duration expected_hold() const;  // the hold of a freeze that begins now

  // Begins the pacing. From here on each observe() moves the bounds.
  void begin();
  const std::vector<std::int64_t>& bounds() const { return bounds_; }
  bool reached() const;
  // True when the disk cannot take what is dirty before the deadline, even without a writer.
  bool hopeless() const;

 private:
  // By how much the bounds fall in a look, in bytes of them all, and the multiple of what is dirty
  // that none falls below but for the ceiling.
  struct Step {
    double fall, margin;
  };
  bool begun() const { return !bounds_.empty(); }
  void compare_rates();
  void lower(Duration passed);
  Step step(double seconds) const;
  double follow(std::size_t index, double margin);
  double outrun(std::size_t index, double part, const Step& step) const;
  double distance() const;
  double target() const;
  double share() const;

  Duration goal_;
  Time deadline_;
  WritebackRates rates_;
  std::int64_t dirty_ = 0;
  Time begun_at_{}, flowed_at_{};
  double floor_ = 0;      // no bound falls below this multiple of the target
  bool outruns_ = false;  // true while the writers, let go, would outrun the disk
  double ceiling_ = 0;    // of all bounds together while outruns_
  std::vector<std::int64_t> bounds_, lowest_;  // lowest_: what was dirty when least was
};

}  // namespace vmtpy::freeze
