// A backing device of the page cache: how much of it is dirty, as the kernel counts, and the bound
// on that. It serves the pre-sync (storage.cpp) and relies on debugfs and on /sys/class/bdi.
//
// The bound is the kernel's state and outlives the process that set it, as rcu_expedited does. So
// the marker holds the old value before the bound is changed, and session, guardian or `vmtpy thaw`
// put it back.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "linux/system.h"

namespace vmtpy::freeze {

struct BdiStats {
  std::int64_t dirty = 0;    // bytes that wait to be written or are being written
  std::int64_t writing = 0;  // the part that is being written
  std::int64_t written = 0;  // bytes written since the device appeared
  double rate = 0;           // bytes a second, by the kernel's estimate
};

// Reads the kernel's figures from debugfs, which may not be mounted. `name` is "8:0" or "btrfs-1".
// Returns 0 or -errno.
int read_bdi_stats(linux::System& system, const std::string& name, BdiStats& stats);
// Reads how many bytes a block device has written, from /sys/dev/block/MAJ:MIN/stat. Returns 0 or
// -errno.
int read_device_written(linux::System& system, const std::string& device, std::int64_t& bytes);

// A file and the text that has to be written to it again.
struct Restore {
  std::string path;
  std::string text;
};
// Writes the text. Returns 0 or -errno, and 0 also where the device of the file is gone.
int put_back(linux::System& system, const Restore& restore);
// Says whether a path is a file that a bound changes, so that no marker can have another file
// written.
bool is_bound_file(const std::string& path);

// Owned by Storage, used by the conductor only, and as long-lived as the session's threads.
class DirtyBound {
 public:
  // This name means vm.dirty_bytes, which bounds all devices.
  static constexpr const char* GLOBAL = "";

  DirtyBound(linux::System& system, std::string name);
  // Reads the present values. Returns false where the bound must be left alone: Linux is older than
  // 6.2, or somebody else has set a bound.
  bool look();
  bool wanted() const { return wanted_; }
  bool changed() const { return changed_; }
  const std::string& name() const { return name_; }
  // The old values, in the order in which the files are written.
  const std::vector<Restore>& restores() const { return restores_; }
  bool set(std::int64_t bytes);  // returns false if the bound cannot be written
  bool restore();                // returns true when nothing is left to put back

 private:
  bool look_global();
  bool lift();
  int write(const char* file, std::int64_t value);  // 0 or -errno

  linux::System& system_;
  const std::string name_;
  const std::string directory_;
  std::vector<Restore> restores_;
  static constexpr std::int64_t NONE = std::numeric_limits<std::int64_t>::max();
  std::int64_t bytes_ = NONE;  // the bound that the kernel has taken
  std::int64_t most_ = NONE;   // the machine's own limit, which GLOBAL never raises
  bool wanted_ = false;
  bool changed_ = false;
};

}  // namespace vmtpy::freeze
