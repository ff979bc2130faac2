// A backing device of the page cache: what is dirty of it, as the kernel counts, and the bound on
// that. Serves the pre-sync (presync.cpp).
//
// The bound is the kernel's state and outlives who set it, as rcu_expedited does: the marker has
// what to put back before it is changed, and session, guardian or `vmtpy thaw` put it back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "linux/system.h"

namespace vmtpy::freeze {

struct BdiStats {
  std::int64_t dirty = 0;    // bytes to be written or being written
  std::int64_t writing = 0;  // of these, being written
  std::int64_t written = 0;  // bytes, ever
  double rate = 0;           // bytes a second, as the kernel estimates it
};

// From debugfs, which may not be mounted. `name`: "8:0", "btrfs-1". 0 or -errno.
int read_bdi_stats(linux::System& system, const std::string& name, BdiStats& stats);
// What a block device has written, from /sys/dev/block/MAJ:MIN/stat, in bytes. 0 or -errno.
int read_device_written(linux::System& system, const std::string& device, std::int64_t& bytes);

// What a file has to hold again.
struct Restore {
  std::string path;
  std::string text;
};
// Whether a path is one that a bound changes, so that no marker can have another file written.
bool is_bound_file(const std::string& path);

class DirtyBound {
 public:
  static constexpr const char* GLOBAL = "";  // the name of vm.dirty_bytes, which bounds all devices

  DirtyBound(linux::System& system, std::string name);
  // Reads what is there. False: leave it alone (Linux before 6.2, or somebody else has bounded it).
  bool look();
  bool wanted() const { return wanted_; }
  bool changed() const { return changed_; }
  const std::string& name() const { return name_; }
  // In the order in which the files are written.
  const std::vector<Restore>& restores() const { return restores_; }
  bool set(std::int64_t bytes);  // false if it cannot be written
  bool restore();                // true when there is nothing (any more) to put back

 private:
  bool look_global();
  bool write(const char* file, std::int64_t value);

  linux::System& system_;
  const std::string name_;
  const std::string directory_;
  std::vector<Restore> restores_;
  std::int64_t bytes_ = 0;
  bool wanted_ = false;
  bool changed_ = false;
};

}  // namespace vmtpy::freeze
