// The storage to which a session's filesystems are written: the groups of filesystems that share
// devices, what is dirty there and how fast it goes, and the pacing of their writers. It serves the
// pre-sync (presync.cpp), and relies on bdi.h and converge.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "freeze/bdi.h"
#include "freeze/converge.h"
#include "linux/system.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

// How writers are slowed down: not at all, by the bound of each device, or by that of the machine.
enum class Converge { OFF, AUTO, GLOBAL };

// The figures of one filesystem. Unknown figures are missing; a disk_rate of 0 is not measured.
struct StorageFigures {
  std::optional<std::int64_t> dirty_before, dirty_left;  // bytes, of its devices
  double disk_rate = 0, writer_rate = 0;                 // bytes a second
  Duration expected_hold{};  // the expected hold of its freeze, just before it
  Duration paced{};          // how long its writers were paced
};

// Owned by the conductor and used by its thread only, without the session's lock.
class Storage {
 public:
  Storage(linux::System& system, Converge converge);

  // Reads the figures for the first time. `deadline` is that of pre-sync and pacing.
  void look(const std::vector<plan::Filesystem>& filesystems, Duration goal, Time now,
            Time deadline);
  void observe(Time now);  // reads the figures again, and moves the bounds of paced groups
  // The source of what is dirty: "debugfs", "meminfo", or "" if nothing is known.
  const char* source() const { return groups_.empty() ? "" : by_debugfs_ ? "debugfs" : "meminfo"; }

  // The source of the rate: the "sectors" that disks have written, or "debugfs".
  const char* rate_source() const;

  // True when dirty pages are counted for each device.
  bool counts_each() const { return by_debugfs_; }
  bool has_measured() const;  // true when the rate of the slowest group is measured
  bool seems_slow() const;    // true when a group has so much to write that it takes long
  // True when a group is paced and nothing is being written there, so that only a syncfs helps.
  bool stands() const;
  bool ready() const;             // true when each freeze would end within the goal
  Duration writing_time() const;  // how long the slowest group takes for what is dirty
  // What a freeze costs beyond its dirty pages; 0 until something tells.
  void set_cost(Duration cost) { cost_ = std::max(cost, Duration::zero()); }
  Duration expected_hold() const { return writing_time() + cost_; }
  std::size_t slowest() const;  // a filesystem of the slowest group
  bool hopeless() const;
  // "writers dirty 90 MiB/s, the disk takes 40 MiB/s: freezing would hold them about 12 s"
  std::string describe() const;

  bool can_pace() const;
  bool pacing() const { return pacing_; }
  std::vector<Restore> restores() const;  // the old values of all bounds, for marker and guardian
  // Begins to pace all groups that are not ready. Returns false when a bound cannot be set; the
  // caller then calls restore().
  bool pace(Time now);
  bool changed() const;  // true while a bound is not put back
  std::string changed_names() const;
  bool restore(Time now);  // returns true when nothing is left to put back

  std::vector<StorageFigures> figures(Time now) const;

 private:
  struct Group {
    std::vector<std::size_t> filesystems;
    std::vector<std::string> devices;  // names of their bdis
    std::vector<std::string> sinks;    // block devices, or names of bdis, that tell what is written
    std::vector<std::string> disks;    // they tell it where a bdi does not
    std::vector<DirtyBound> bounds;
    Convergence convergence;
    Time paced_since{};  // zero while its writers are not paced
    Duration paced{};    // how long they were, until then
    bool is_paced() const { return paced_since != Time{}; }
  };
  void group(const std::vector<plan::Filesystem>& filesystems, Duration goal, Time deadline);
  bool read(Group& group, WritebackFacts& facts);
  static bool can_bound(const Group& group);
  void begin_pacing(Group& group, Time now);  // unless it is ready, or has no bound to set
  bool apply(Group& group);
  const Group* slowest_group() const;
  bool is_ready(const Group& group) const;

  linux::System& system_;
  const Converge converge_;
  Duration goal_{};
  std::vector<Group> groups_;
  std::vector<StorageFigures> figures_;
  bool by_debugfs_ = false;
  Duration cost_{};
  bool pacing_ = false;
  bool unable_ = false;  // a bound could not be set
};

}  // namespace vmtpy::freeze
