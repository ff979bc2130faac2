// The volumes that the host names in `vmbackup.start`: absolute paths, or the UUIDs of virtual
// disks. A disk shows its UUID to the guest (disk.EnableUUID) as an NAA or EUI number, in
// /dev/disk/by-id and in sysfs. This serves the plan.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "plan/block_stack.h"
#include "plan/filesystem.h"
#include "plan/mounts.h"

namespace vmtpy::plan {

// Turns "6000C29a 1234-…" into "6000c29a1234…".
std::string normal_uuid(std::string_view text);

// Owned by the planner, used by its thread, and as long-lived as the planner.
class Volumes {
 public:
  Volumes(const std::vector<std::string>& names, const PlanSources& sources, const Mounts& mounts);

  bool named_any() const { return !names_.empty(); }
  // Says whether a superblock with these block devices below it lies on a named volume, and
  // remembers the volume as matched.
  bool hold(const std::string& superblock, const std::set<std::string>& devices);
  // Returns the volumes on which none of the superblocks lay that hold() was asked about.
  std::vector<std::string> unmatched() const;

 private:
  struct Name {
    std::string text;             // the name as the host wrote it
    std::string superblock;       // where the name is a path
    std::set<std::string> disks;  // where the name is a UUID: "major:minor"
    bool matched = false;
  };
  std::vector<Name> names_;
};

}  // namespace vmtpy::plan
