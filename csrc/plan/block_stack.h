// What a superblock stands on: its block devices down to the disks (partitions, dm, md, bcache,
// zram) and, through loop images and overlays, other superblocks. It serves the plan. It reads
// sysfs and the links of /dev, asks loop devices where their images are, and opens nothing on a
// mounted filesystem.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "plan/filesystem.h"
#include "plan/mounts.h"

namespace vmtpy::plan {

struct Footing {
  std::set<std::string> devices;   // "major:minor" of all block devices below, including the disks
  std::set<std::string> bdis;      // names in /sys/class/bdi of all that can hold dirty pages
  std::set<std::string> carriers;  // the superblocks of its loop images and overlay directories
  std::string network;             // a block device below that belongs to a server: "nbd0"
  std::string unknown;             // why this is not the whole footing, "" if it is
  std::string ring;  // "dm-0 → dm-1 → dm-0" where devices stand on each other, else ""
};

// Owned by the planner or the reader of the host's volumes, used by one thread, and shorter-lived
// than the sources and mounts to which it refers.
class Stack {
 public:
  Stack(const PlanSources& sources, const Mounts& mounts);

  // Returns the footing of a superblock, given by its "major:minor", down to the next superblocks.
  // The answer is kept, so asking again costs nothing.
  const Footing& footing(const std::string& superblock);
  // Returns the same together with the footings of all carriers, to any depth.
  Footing foundation(const std::string& superblock);
  // Returns the names under which the kernel tells how much of the superblock's data goes to the
  // disks: block devices, or a bdi that belongs to no block device.
  std::set<std::string> sinks(const std::string& superblock);
  Footing foundation_of_device(const std::string& path);
  // Turns "/dev/mapper/vg-home" into "253:0". Returns "" if the path is no block device of this
  // machine.
  std::string device_number(const std::string& path) const;

 private:
  using Trail = std::vector<std::string>;  // the names from the top down, to notice a ring

  bool is_bdi(const std::string& name) const;
  Footing with_carriers(Footing footing);
  Footing inspect(const std::string& superblock);
  void add_btrfs(const Superblock& superblock, Footing& footing);
  void add_layers(const Superblock& superblock, Footing& footing);
  void add_layer(const Superblock& superblock, const std::string& directory, Footing& footing);
  void add_source(const std::string& path, Footing& footing);
  void descend(const std::string& device, Footing& footing, Trail& trail);
  void add_image(const std::string& loop, const std::string& file, Footing& footing, Trail& trail);
  std::string image_superblock(const std::string& loop, const Mount* by_path, bool deleted) const;

  const PlanSources& sources_;
  const Mounts& mounts_;
  std::map<std::string, Footing> footings_;
};

}  // namespace vmtpy::plan
