// Auto-converge, as live migration has it, for disks: how the bounds on the dirty pages of some
// devices come down, and when little enough is dirty for a freeze. Facts and the time go in; bounds
// and a verdict come out. It serves storage.cpp and touches nothing of the machine.
//
// While a device's dirty pages are below the bound the kernel paces its writers, with pauses of 200
// ms at most. Above the bound they stand still, and rounds of writeback take half a second of the
// disk's time. So a bound starts well above what is dirty, comes down by a part of what the disk
// takes, and is raised before the dirty pages touch it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace vmtpy::freeze {

// The facts about a group's devices at one moment. Amounts are bytes.
struct WritebackFacts {
  std::vector<std::int64_t> dirty;  // of each device: waiting to be written or being written
  std::int64_t written = 0;         // written by all of them since some moment
  bool busy = false;                // true while something is being written
  double kernel_rate = 0;           // the kernel's own estimate in bytes a second, 0 for none
};

// One object for each group of filesystems that share devices, owned by Storage and used by the
// conductor only.
class Convergence {
 public:
  // `goal` is how long a freeze may hold writers, and `deadline` when that has to be reached.
  Convergence(Duration goal, Time deadline);

  void observe(Time now, const WritebackFacts& facts);
  std::int64_t dirty() const { return dirty_; }
  // In bytes a second, over the last few seconds of writing. Before there was any, the disk's rate
  // is the kernel's estimate.
  double disk_rate() const;
  double writer_rate() const;
  // True when the disk's rate is measured by what it wrote while there was enough to write.
  bool has_measured() const;
  bool flows() const { return flows_; }  // true if something was written since begin()
  Duration expected_hold() const;        // the hold of a freeze that begins now

  // Begins the pacing. From here on each observe() moves the bounds.
  void begin();
  bool begun() const { return !bounds_.empty(); }
  const std::vector<std::int64_t>& bounds() const { return bounds_; }
  bool reached() const;
  // True when the disk cannot take what is dirty before the deadline, even with hardly a writer.
  bool hopeless() const;

 private:
  void measure(Duration passed, const WritebackFacts& facts);
  void lower(Duration passed);
  double target() const;
  double share() const;

  Duration goal_;
  Time deadline_;
  Time last_{}, begun_at_{};
  WritebackFacts facts_;
  std::int64_t dirty_ = 0;
  // What the disk wrote, and how long that took.
  double busy_bytes_ = 0, busy_seconds_ = 0;
  double gained_bytes_ = 0, seconds_ = 0;  // what writers dirtied, and for how long
  double floor_ = 0;                       // no bound falls below this multiple of the target
  bool flows_ = false;
  std::vector<std::int64_t> bounds_;
};

}  // namespace vmtpy::freeze
