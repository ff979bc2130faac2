// Live migration's auto-converge, for disks: how the bounds on the dirty pages of some devices come
// down, and when little enough is dirty for a freeze. Pure: facts and the time in, bounds and a
// verdict out. Used by the conductor alone (presync.cpp), one object for each group of filesystems
// that share devices.
//
// While its dirty pages are below the bound the kernel paces the writers of a device, with pauses
// of 200 ms at most. Above it they stand still, and rounds of writeback take half a second of the
// disk's time. So a bound starts well above what is dirty, comes down by a part of what the disk
// takes, and is raised rather than touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace vmtpy::freeze {

// What is known of a group's devices at one moment. Amounts in bytes.
struct WritebackFacts {
  std::vector<std::int64_t> dirty;  // of each device: to be written, or being written
  std::int64_t written = 0;         // since some moment, by all of them
  bool busy = false;                // something is being written
  double kernel_rate = 0;           // the kernel's own estimate, bytes a second; 0: none
};

class Convergence {
 public:
  // `goal`: how long a freeze may hold writers. `deadline`: when it has to be reached.
  Convergence(Duration goal, Time deadline);

  void observe(Time now, const WritebackFacts& facts);
  std::int64_t dirty() const { return dirty_; }
  // Bytes a second, over the last few seconds of writing; until then the kernel's estimate.
  double disk_rate() const;
  double writer_rate() const;
  bool has_measured() const;  // the disk's rate, by what it wrote while there was enough to write
  bool flows() const { return flows_; }  // something was being written, since begin()
  Duration expected_hold() const;        // of a freeze that begins now

  // From here on each observe() moves the bounds.
  void begin();
  bool begun() const { return !bounds_.empty(); }
  const std::vector<std::int64_t>& bounds() const { return bounds_; }
  bool reached() const;
  // The disk cannot take what is dirty before the deadline, even if it had hardly a writer.
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
  double busy_bytes_ = 0, busy_seconds_ = 0;  // what the disk wrote, and how long that took it
  double gained_bytes_ = 0, seconds_ = 0;     // what writers dirtied
  double floor_ = 0;                          // factor of the target below which no bound falls
  bool flows_ = false;
  std::vector<std::int64_t> bounds_;
};

}  // namespace vmtpy::freeze
