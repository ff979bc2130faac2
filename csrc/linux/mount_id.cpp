// Reads mount ids by statx, listmount and statmount, and by fdinfo where the kernel has none of
// them.
#include "linux/mount_id.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "linux/facts.h"

namespace vmtpy::linux {

namespace {

// The constants and structures of statx(2), listmount(2) and statmount(2). Older headers do not
// have all of them.
constexpr unsigned int WANT_MOUNT_ID = 0x1000;         // STATX_MNT_ID, Linux 5.8
constexpr unsigned int WANT_UNIQUE_MOUNT_ID = 0x4000;  // STATX_MNT_ID_UNIQUE, Linux 6.8
// Both calls are in Linux 6.8 and later, with the same numbers on every architecture.
constexpr long STATMOUNT = 457;
constexpr long LISTMOUNT = 458;
constexpr std::uint64_t WHOLE_NAMESPACE = ~std::uint64_t{0};  // LSMT_ROOT
constexpr std::uint64_t MOUNT_BASIC = 2;                      // STATMOUNT_MNT_BASIC

struct StatxFacts {
  std::uint32_t mask;
  std::uint32_t before[35];
  std::uint64_t mount_id;
  std::uint64_t after[13];
};
static_assert(offsetof(StatxFacts, mount_id) == 0x90 && sizeof(StatxFacts) == 256);

struct MountRequest {
  std::uint32_t size = sizeof(MountRequest);
  std::uint32_t unused = 0;
  std::uint64_t mount_id = 0;
  std::uint64_t parameter = 0;
};
static_assert(sizeof(MountRequest) == 24);

struct MountFacts {
  std::uint32_t size, options;
  std::uint64_t mask;
  std::uint32_t major, minor;
  std::uint64_t magic;
  std::uint32_t flags, type;
  std::uint64_t mount_id, parent_id;
  std::uint32_t old_mount_id, old_parent_id;
  std::uint64_t after[56];
};
static_assert(offsetof(MountFacts, old_mount_id) == 0x38);

constexpr std::size_t BATCH = 512;  // how many mounts one call of listmount returns
// This many batches are more mounts than a namespace may have.
constexpr int BATCHES = 2000;

bool statx_mount_id(int descriptor, unsigned int wanted, std::uint64_t& id) {
  StatxFacts facts = {};
  if (syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, wanted, &facts) != 0) return false;
  id = facts.mount_id;
  return (facts.mask & wanted) != 0;
}

// Linux before 5.8 tells the id only here.
int read_fdinfo(int descriptor, std::uint64_t& id) {
  std::string text;
  if (!read_whole("/proc/self/fdinfo/" + std::to_string(descriptor), text)) return -errno;
  const auto found = find_number(text, "mnt_id:");
  if (!found) return -ENOTSUP;
  id = static_cast<std::uint64_t>(*found);
  return 0;
}

}  // namespace

int read_mount_id(int descriptor, MountId& id) {
  if (!statx_mount_id(descriptor, WANT_UNIQUE_MOUNT_ID, id.unique)) id.unique = 0;
  if (statx_mount_id(descriptor, WANT_MOUNT_ID, id.id)) return 0;
  return read_fdinfo(descriptor, id.id);
}

std::unordered_map<std::uint64_t, std::uint64_t> unique_mount_ids() {
  std::unordered_map<std::uint64_t, std::uint64_t> found;
  std::vector<std::uint64_t> batch(BATCH);
  MountRequest all = {.mount_id = WHOLE_NAMESPACE};
  for (int batches = 0; batches < BATCHES; ++batches) {
    const long count = syscall(LISTMOUNT, &all, batch.data(), batch.size(), 0);
    if (count <= 0) break;
    for (std::size_t at = 0; at < static_cast<std::size_t>(count); ++at) {
      const MountRequest one = {.mount_id = batch[at], .parameter = MOUNT_BASIC};
      MountFacts facts = {};
      if (syscall(STATMOUNT, &one, &facts, sizeof facts, 0) != 0) continue;
      found[facts.old_mount_id] = facts.mount_id;
    }
    all.parameter = batch[static_cast<std::size_t>(count) - 1];
  }
  return found;
}

}  // namespace vmtpy::linux
