// What the kernel says of some devices' write-back, from look to look, and the rates that follow:
// how fast the disk takes it, and how fast writers dirty more. It serves converge.h and touches
// nothing of the machine.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace vmtpy::freeze {

// The facts about a group's devices at one moment. Amounts are bytes.
struct WritebackFacts {
  std::vector<std::int64_t> dirty;  // of each device: waiting to be written or being written
  std::int64_t written = 0;         // written by all of them since some moment
  std::int64_t written_back = 0;    // of that what was dirty before, 0 if that is not told
  std::int64_t writing = 0;         // the part of what is dirty that is being written
  double kernel_rate = 0;           // the kernel's own estimate in bytes a second, 0 for none

  std::int64_t dirty_in_all() const;
  bool flows() const;  // false while the disk waits for its writers
};

// Owned by the Convergence of a group. Rates are bytes a second over the last few seconds.
class WritebackRates {
 public:
  // Takes in a look. Returns the time since the last one, and 0 for the first and for one that is
  // no later, which does not count.
  Duration observe(Time now, const WritebackFacts& facts);
  const WritebackFacts& facts() const { return facts_; }  // of the last look
  Time last() const { return last_; }
  // Bytes of dirty pages written between the last two looks.
  std::int64_t written_back() const { return written_back_; }

  // True when the disk's rate is measured by what it wrote while there was enough to write. Before
  // that it is the kernel's estimate.
  bool has_measured() const;
  double disk_rate() const;
  double writer_rate() const;
  bool knows_writers() const;  // true after they have been watched for a while

 private:
  void measure(Duration passed, const WritebackFacts& facts);

  Time last_{};
  WritebackFacts facts_;
  std::int64_t written_back_ = 0;
  // What the disk wrote, and how long that took.
  double busy_bytes_ = 0, busy_seconds_ = 0;
  double gained_bytes_ = 0, seconds_ = 0;  // what writers dirtied, and for how long
};

}  // namespace vmtpy::freeze
