// What a superblock stands on: its block devices down to the disks (partitions, dm, md, bcache,
// zram) and, through loop images and overlays, other superblocks. Serves plan. Reads sysfs and
// /dev's links, asks loop devices where their image is, and opens nothing on a mounted filesystem.
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
  std::set<std::string> devices;   // "major:minor" of all block devices below, disks included
  std::set<std::string> bdis;      // names in /sys/class/bdi, of all that can hold dirty pages
  std::set<std::string> carriers;  // superblocks below: of loop images, of overlay directories
  std::string network;             // the block device below that is a server's: "nbd0"
  std::string unknown;             // why this is not the whole of it, "" if it is
  std::string ring;                // "dm-0 → dm-1 → dm-0", "" as it should be
};

class Stack {
 public:
  Stack(const PlanSources& sources, const Mounts& mounts);

  // Of a superblock by its "major:minor", down to the next superblocks. Kept: asking again is free.
  const Footing& footing(const std::string& superblock);
  // The same together with the footings of all carriers, to any depth.
  Footing foundation(const std::string& superblock);
  // What tells how much of it goes to the disks: block devices, or a bdi that is none.
  std::set<std::string> sinks(const std::string& superblock);
  Footing foundation_of_device(const std::string& path);
  // "/dev/mapper/vg-home" → "253:0", "" if it is no block device here.
  std::string device_number(const std::string& path) const;

 private:
  using Trail = std::vector<std::string>;  // names from the top down to here, to notice a ring

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
