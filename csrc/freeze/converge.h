// Auto-converge, as live migration has it, for disks: how the bounds on the dirty pages of some
// devices come down, and when little enough is dirty for a freeze. Facts and the time go in; bounds
// and a verdict come out. It serves storage.cpp and touches nothing of the machine.
//
// From three quarters of the bound on the kernel writes back, until half of it is left, and paces
// the device's writers, with pauses of 200 ms at most. Above the bound they stand still. So a bound
// starts well above what is dirty. Where the disk is faster than its writers the bound follows what
// is dirty, at a distance that keeps the kernel writing and hardly slows anybody. Where it is not,
// the bound comes down by a part of what the disk takes, and is raised before the dirty pages touch
// it.
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
  std::int64_t writing = 0;         // the part of what is dirty that is being written
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
  // For how long nothing has been written since begin(), and true if anything has been.
  Duration idle() const { return last_ - flowed_at_; }
  bool has_flowed() const { return flowed_at_ != begun_at_; }
  Duration expected_hold() const;  // the hold of a freeze that begins now

  // Begins the pacing. From here on each observe() moves the bounds.
  void begin();
  bool begun() const { return !bounds_.empty(); }
  const std::vector<std::int64_t>& bounds() const { return bounds_; }
  bool reached() const;
  // True when the disk cannot take what is dirty before the deadline, even with hardly a writer.
  bool hopeless() const;

 private:
  void measure(Duration passed, const WritebackFacts& facts);
  void compare_rates();
  void lower(Duration passed);
  double target() const;
  double share() const;

  Duration goal_;
  Time deadline_;
  Time last_{}, begun_at_{}, flowed_at_{};
  WritebackFacts facts_;
  std::int64_t dirty_ = 0;
  // What the disk wrote, and how long that took.
  double busy_bytes_ = 0, busy_seconds_ = 0;
  double gained_bytes_ = 0, seconds_ = 0;  // what writers dirtied, and for how long
  double floor_ = 0;                       // no bound falls below this multiple of the target
  bool outrun_ = false;                    // true while the writers, let go, would outrun the disk
  double ceiling_ = 0;                     // of all bounds together while outrun_
  double written_ = 0;                     // bytes since the last look
  std::vector<std::int64_t> bounds_, lowest_;  // lowest_: what was dirty when least was
};

}  // namespace vmtpy::freeze
