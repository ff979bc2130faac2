// Filesystems that are not there: a System whose mount points are names, whose freeze stops those
// who write() through it and whose thaw lets them go on. For unit tests without root and for the
// demo in a plain container. Files (the marker) are kept in memory; there is nothing for a guardian
// to do, so sessions on it run without one and fork() answers -ENOSYS. Owned by the test or the
// demo, for longer than the sessions that use it; thread-safe.
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

class SimulatedDisk final : public linux::System {
 public:
  explicit SimulatedDisk(std::vector<std::string> paths);
  // As a plan would list them, all in level 0.
  std::vector<plan::Filesystem> filesystems() const;
  // One write by a writer: waits while frozen; returns how long it had to wait.
  Duration write(const std::string& path);
  std::uint64_t written(const std::string& path) const;
  bool frozen(const std::string& path) const;
  void thaw_by_someone_else(const std::string& path);
  // The next freeze of `path` waits inside the kernel, as behind a stuck writer, until let_go().
  void hold(const std::string& path);
  void let_go(const std::string& path);
  // From now on each freeze of `path` ends with -error; 0: none does.
  void refuse_freeze(const std::string& path, int error);
  // From now on each sync of `path` waits until let_sync_go(), which lets one of them go.
  void hold_syncs(const std::string& path);
  void let_sync_go(const std::string& path);
  // From now on `path` has dirty pages, that its writers add to and its disk takes, in bytes and
  // bytes a second, as pass() says; the kernel's files tell and bound them. Its writers are paced
  // as Linux does it: the less, the further below the bound.
  void put_storage(const std::string& path, double dirty, double disk_rate, double writer_rate);
  void pass(Duration time);
  // What was dirty when it froze; for how long at once its writers stood still at the bound.
  double dirty_at_freeze(const std::string& path) const;
  Duration longest_stop(const std::string& path) const;
  // The files by name, and one more or another text for one.
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
    std::string bdi;  // "" until there is a storage
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
};

}  // namespace vmtpy::doubles
