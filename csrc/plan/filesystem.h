// What a plan is made of: filesystems to freeze, what is left out and why, what was asked for, and
// where the facts are read. This is plain data, which serves plan, freeze and agent; plan.h makes
// the plan.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vmtpy::plan {

// A filesystem is one superblock. Its identity is mountinfo's major:minor, never that of stat() or
// statfs(), because both differ between the subvolumes of one btrfs.
struct Filesystem {
  std::string path;             // the mount point by which it is opened
  std::uint64_t mount_id = 0;   // the id of that mount in mountinfo
  std::uint64_t unique_id = 0;  // its unique id, 0 where the kernel tells none
  std::string device;           // "major:minor"
  std::string type;             // "ext4"
  std::string source;           // "/dev/sda1", as mountinfo gives it
  int level = 0;                // level 0 is frozen first; each level stands on later ones
  // The type cannot be frozen (vfat). It gets a syncfs at the time of the freeze, and the plan says
  // so.
  bool sync_only = false;
  std::vector<std::string> also;       // its other mount points
  std::vector<std::string> stands_on;  // major:minor of planned superblocks that carry it
  std::vector<std::string> mapped;  // major:minor of device-mapper devices, its own and those below
  std::vector<std::string> disks;   // major:minor of the block devices below that stand on no other
  std::vector<std::string> bdis;    // names in /sys/class/bdi of what holds its dirty pages
  // The names under which the kernel tells how much goes to the disks: devices, or names of bdis.
  std::vector<std::string> sinks;
  // The way to `path` leads through a network or FUSE filesystem, whose server may not answer.
  bool behind_server = false;
};

// The cause for which a filesystem is left out, for programs.
enum class Cause {
  NONE,
  PSEUDO,
  MEMORY,
  LAYERED,  // its files lie on other filesystems
  READ_ONLY,
  NETWORK,  // the filesystem, its block device, or the filesystem that holds its image is remote
  FUSE,     // the filesystem itself or the one that holds its image is FUSE's
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
  std::string reason;  // for people: "network filesystem", "excluded by exclude = /mnt/*", …
  // It can lose writes: it is neither read-only, pseudo, in memory, nor a view of filesystems that
  // are judged themselves.
  bool writable = false;
};

struct Plan {
  std::vector<Filesystem> filesystems;  // ordered by level, then by path
  std::vector<LeftOut> left_out;
  // Volumes that the host named and on which nothing of this machine lies.
  std::vector<std::string> unmatched;
  // Facts that hinder nothing but should be known, for example swap that will wait.
  std::vector<std::string> notes;
};

// Globs are those of fnmatch(3), so a * also matches slashes. A path that is a mount point means
// the filesystem that is mounted there, even if it is mounted elsewhere as well. A glob in
// `include` is compared with all mount points of a filesystem. A glob in `exclude` is compared only
// with the mount point by which the filesystem would be opened: where / is also bound below /mnt,
// excluding /mnt/* does not exclude /.
struct PlanRequest {
  std::vector<std::string> include;  // mount points or globs; if empty, all
  std::vector<std::string> exclude;  // mount points or globs
  std::vector<std::string> volumes;  // paths or disk UUIDs named by the host; if empty, all
};

// The places where the facts are read. Tests point these at a tree of their own.
struct PlanSources {
  std::string mountinfo = "/proc/self/mountinfo";
  std::string swaps = "/proc/swaps";
  std::string sys = "/sys";
  std::string dev = "/dev";
  std::string root;  // prepended to mount points that are looked at
};

}  // namespace vmtpy::plan
