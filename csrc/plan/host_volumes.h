// The volumes that the host names in `vmbackup.start`: absolute paths, or the UUIDs of virtual
// disks. A disk shows its UUID to the guest (disk.EnableUUID) as NAA or EUI number: in
// /dev/disk/by-id and in sysfs. Serves plan.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "plan/block_stack.h"
#include "plan/filesystem.h"
#include "plan/mounts.h"

namespace vmtpy::plan {

// "6000C29a 1234-…" → "6000c29a1234…"
std::string normal_uuid(std::string_view text);

class Volumes {
 public:
  Volumes(const std::vector<std::string>& names, const PlanSources& sources, const Mounts& mounts);

  bool named_any() const { return !names_.empty(); }
  // Whether a superblock with these block devices below it lies on a named volume.
  bool hold(const std::string& superblock, const std::set<std::string>& devices);
  // Those on which nothing lay that hold() was asked about.
  std::vector<std::string> unmatched() const;

 private:
  struct Name {
    std::string text;             // as the host wrote it
    std::string superblock;       // of a path
    std::set<std::string> disks;  // of a UUID: "major:minor"
    bool matched = false;
  };
  std::vector<Name> names_;
};

}  // namespace vmtpy::plan
