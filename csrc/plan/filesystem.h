// What a plan is made of: filesystems to freeze, what is left out and why, what was asked for, and
// where the facts are read. Plain data; plan.h makes the plan.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vmtpy::plan {

// One superblock. Identified by mountinfo's major:minor, never by stat() or statfs(): both differ
// between the subvolumes of one btrfs.
struct Filesystem {
  std::string path;               // the mount point by which it is opened
  std::uint64_t mount_id = 0;     // that mount, in mountinfo
  std::uint64_t unique_id = 0;    // and by its unique id, 0 where the kernel tells none
  std::string device;             // "major:minor"
  std::string type;               // "ext4"
  std::string source;             // "/dev/sda1", as mountinfo gives it
  int level = 0;                  // frozen first: 0; each level stands on later ones
  bool sync_only = false;         // cannot be frozen (vfat): syncfs at the freeze, said in the plan
  std::vector<std::string> also;  // its other mount points
  std::vector<std::string> stands_on;  // major:minor of planned superblocks that carry it
  std::vector<std::string> mapped;     // of the device-mapper devices below, its own included
  std::vector<std::string> disks;      // of the block devices below that stand on no other one
  std::vector<std::string> bdis;       // names in /sys/class/bdi of what holds its dirty pages
  std::vector<std::string> sinks;  // what tells how much goes to the disks: devices, names of bdi
};

// Why a filesystem is left out, for programs.
enum class Cause {
  NONE,
  PSEUDO,
  MEMORY,
  LAYERED,  // its files lie on other filesystems
  READ_ONLY,
  NETWORK,  // itself, its block device, or the filesystem that holds its image
  FUSE,     // itself, or the filesystem that holds its image
  UNSUPPORTED,
  UNREACHABLE,  // hidden by another mount, or nothing is known of its device
  EXCLUDED,
  NOT_INCLUDED,
  NOT_REQUESTED,  // the host named other volumes
};

struct LeftOut {
  std::string path;
  std::string device;
  std::string type;
  Cause cause = Cause::NONE;
  std::string reason;     // for people: "network filesystem", "excluded by exclude = /mnt/*", …
  bool writable = false;  // can lose writes: neither read-only, pseudo, in memory nor a view of
                          // filesystems that are judged themselves
};

struct Plan {
  std::vector<Filesystem> filesystems;  // by level, then path
  std::vector<LeftOut> left_out;
  std::vector<std::string> unmatched;  // volumes that the host named and nothing here lies on
  std::vector<std::string> notes;  // what does not hinder but should be known: swap that will wait
};

// Globs are those of fnmatch(3); their * matches slashes, too. A path that is written out means the
// filesystem mounted there, even if it is mounted elsewhere as well. A glob in `include` is tried
// on all mount points of a filesystem, one in `exclude` only on that by which it would be opened: a
// bind mount of / below /mnt is not to exclude / when /mnt/* is excluded.
struct PlanRequest {
  std::vector<std::string> include;  // mount points or globs; empty: all
  std::vector<std::string> exclude;  // mount points or globs
  std::vector<std::string> volumes;  // named by the host: paths or disk UUIDs; empty: all
};

// Where the facts are read; tests point these at a tree of their own.
struct PlanSources {
  std::string mountinfo = "/proc/self/mountinfo";
  std::string swaps = "/proc/swaps";
  std::string sys = "/sys";
  std::string dev = "/dev";
  std::string root;  // stands before mount points that are looked at
};

}  // namespace vmtpy::plan
