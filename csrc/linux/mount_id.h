// The two ids of a mount: that of mountinfo, which the kernel gives again to the next mount, and a
// unique one, which Linux 6.8 and later have. Serves plan, freezer and rescue.
#pragma once

#include <cstdint>
#include <unordered_map>

namespace vmtpy::linux {

struct MountId {
  std::uint64_t id = 0;      // as in /proc/self/mountinfo
  std::uint64_t unique = 0;  // 0: the kernel tells none
};

// Of the mount that an open file belongs to. 0 or -errno.
int read_mount_id(int descriptor, MountId& id);

// The unique ids of all mounts, by the other one. Empty where the kernel tells none. No path is
// looked up, so that nothing hangs.
std::unordered_map<std::uint64_t, std::uint64_t> unique_mount_ids();

}  // namespace vmtpy::linux
