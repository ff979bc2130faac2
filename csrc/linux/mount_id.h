// The two ids of a mount: the id in mountinfo, which the kernel gives again to a later mount, and
// the unique id, which Linux 6.8 and later have. They serve plan, freezer and rescue.
#pragma once

#include <cstdint>
#include <unordered_map>

namespace vmtpy::linux {

struct MountId {
  std::uint64_t id = 0;      // as in /proc/self/mountinfo
  std::uint64_t unique = 0;  // 0 where the kernel tells none
};

// Reads the ids of the mount to which an open file belongs. Returns 0 or -errno.
int read_mount_id(int descriptor, MountId& id);

// Returns the unique ids of all mounts by their other id. The map is empty where the kernel tells
// none. The call looks up no path, so it cannot hang.
std::unordered_map<std::uint64_t, std::uint64_t> unique_mount_ids();

}  // namespace vmtpy::linux
