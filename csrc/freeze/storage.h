// What the filesystems of a session are written to: the groups of them that share devices, what is
// dirty there and how fast it goes, and the pacing of their writers. Owned by the session, used by
// its conductor alone (presync.cpp), without the session's lock.
#pragma once

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

// How writers are slowed down: not at all, by the bound of each device, by that of the machine.
enum class Converge { OFF, AUTO, GLOBAL };

// Of one filesystem; what is not known is left out. Plain data.
struct StorageFigures {
  std::optional<std::int64_t> dirty_before, dirty_left;  // bytes, of its devices
  double disk_rate = 0, writer_rate = 0;                 // bytes a second; 0: not measured
  Duration expected_hold{};                              // of its freeze, just before it
  Duration paced{};                                      // for how long its writers were
};

class Storage {
 public:
  Storage(linux::System& system, Converge converge);

  // Reads what is there, for the first time. `deadline`: of pre-sync and pacing.
  void look(const std::vector<plan::Filesystem>& filesystems, Duration goal, Time now,
            Time deadline);
  void observe(Time now);  // and moves the bounds of what is paced
  // What is dirty is from "debugfs", "meminfo", "" if nothing is known.
  const char* source() const { return groups_.empty() ? "" : by_debugfs_ ? "debugfs" : "meminfo"; }

  // How fast it goes is from "sectors" that disks have written, or from "debugfs".
  const char* rate_source() const;

  bool counts_each() const { return by_debugfs_; }  // dirty pages, by device
  bool has_measured() const;                        // how fast the slowest group goes
  bool seems_slow() const;         // a group has so much to write that it takes long
  bool flows() const;              // something is being written by each of those
  bool ready() const;              // each freeze would end within the goal
  Duration expected_hold() const;  // the longest of them
  std::size_t slowest() const;     // the filesystem whose group that is
  bool hopeless() const;
  // "writers dirty 90 MiB/s, the disk takes 40 MiB/s: freezing would hold them about 12 s"
  std::string describe() const;

  bool can_pace() const;
  bool pacing() const { return paced_since_ != Time{}; }
  std::vector<Restore> restores() const;  // of all bounds, for marker and guardian
  // From now on, all groups that are not ready. False: a bound cannot be set; restore() then.
  bool pace(Time now);
  bool changed() const;  // a bound is not put back
  std::string changed_names() const;
  bool restore(Time now);  // true when there is nothing (any more) to put back

  void keep_before() { before_ = figures_; }
  std::vector<StorageFigures> figures() const;

 private:
  struct Group {
    std::vector<std::size_t> filesystems;
    std::vector<std::string> devices;  // names of bdi
    std::vector<std::string> sinks;    // block devices, or names of bdi, that tell what is written
    std::vector<DirtyBound> bounds;
    Convergence convergence;
    bool paced = false;
  };
  void group(const std::vector<plan::Filesystem>& filesystems, Duration goal, Time deadline);
  bool read(Group& group, WritebackFacts& facts);
  bool apply(Group& group);
  const Group* slowest_group() const;
  bool is_ready(const Group& group) const;

  linux::System& system_;
  const Converge converge_;
  Duration goal_{};
  std::vector<Group> groups_;
  std::vector<StorageFigures> figures_, before_;
  bool by_debugfs_ = false;
  Time last_{}, paced_since_{};
  Duration paced_{};
  bool unable_ = false;  // to set a bound
};

}  // namespace vmtpy::freeze
