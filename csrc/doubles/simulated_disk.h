// A System with simulated filesystems: its mount points are names, its freeze stops those who
// write() through it, and its thaw lets them go on. It serves unit tests without root, and the demo
// in a plain container. Files (the marker) are kept in memory. There is nothing for a guardian to
// do, so sessions on it run without one and fork() returns -ENOSYS.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/thread_safety.h"
#include "linux/system.h"
#include "plan/filesystem.h"

namespace vmtpy::doubles {

// Owned by the test or the demo, and longer-lived than the sessions that use it. It has its own
// lock, so any thread may call it.
class SimulatedDisk final : public linux::System {
 public:
  explicit SimulatedDisk(std::vector<std::string> paths);
  // Returns the filesystems as a plan lists them, all in level 0.
  std::vector<plan::Filesystem> filesystems() const;
  // Makes one write. Waits while the filesystem is frozen, and returns how long that was.
  Duration write(const std::string& path);
  std::uint64_t written(const std::string& path) const;
  bool frozen(const std::string& path) const;
  void thaw_by_someone_else(const std::string& path);
  // Makes the next freeze of `path` wait inside the kernel, as behind a stuck writer, until
  // let_go().
  void hold(const std::string& path);
  void let_go(const std::string& path);
  // Makes each freeze of `path` end with -error from now on. 0 ends that.
  void refuse_freeze(const std::string& path, int error);
  // Makes each sync of `path` wait from now on. Each let_sync_go() lets one of them go.
  void hold_syncs(const std::string& path);
  void let_sync_go(const std::string& path);
  // Gives `path` dirty pages, to which its writers add and which its disk takes, in bytes and bytes
  // a second, when pass() is called. The kernel's files show them and bound them. The writers are
  // paced as Linux paces them: the less, the further the dirty pages are below the bound.
  void put_storage(const std::string& path, double dirty, double disk_rate, double writer_rate);
  // Sets the machine's own limit on dirty pages, which is also the bound of each disk then.
  void put_limit(double limit);
  void pass(Duration time);
  // Return what was dirty at the freeze, and the longest time for which the writers stood still at
  // the bound.
  double dirty_at_freeze(const std::string& path) const;
  Duration longest_stop(const std::string& path) const;
  // Return the files by name, and set the text of one file.
  std::map<std::string, std::string> files() const;
  void put_file(const std::string& path, const std::string& text);

  int open_directory(const std::string& path) override;
  int close(int descriptor) override;
  int mount_id(int descriptor, linux::MountId& id) override;
  int sync(int descriptor) override;
  int freeze(int descriptor) override;
  int thaw(int descriptor) override;
  pid_t fork() override;
  int read_file(const std::string& path, std::string& text) override;
  int write_file(const std::string& path, std::string_view text) override;
  int create_file(const std::string& path, std::string_view text) override;
  int make_directory(const std::string& path) override;
  int remove_file(const std::string& path) override;

 private:
  struct Disk {
    std::string path;
    bool frozen = false;
    bool held = false;
    int refusal = 0;
    bool syncs_held = false;
    int syncs_let_go = 0;
    std::uint64_t written = 0;
    std::string bdi;  // "" until put_storage()
    bool flushing = false, synced = false;
    double dirty = 0, disk_rate = 0, writer_rate = 0, flushed = 0, dirty_at_freeze = 0;
    Duration stop{}, longest_stop{};
  };
  void pass(Disk& disk, double seconds) REQUIRES(mutex_);
  void tell(const Disk& disk) REQUIRES(mutex_);
  Disk* find(const std::string& path) REQUIRES(mutex_);
  Disk* at(int descriptor) REQUIRES(mutex_);
  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::vector<Disk> disks_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> files_ GUARDED_BY(mutex_);
  double limit_ GUARDED_BY(mutex_) = 5e9;
};

}  // namespace vmtpy::doubles
