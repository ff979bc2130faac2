// Looks at the owner of each marker, and thaws what a dead owner has left frozen. It relies on
// /proc for the owner, and on mountinfo for the way to each filesystem.
#include "freeze/rescue.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <thread>

#include "base/errors.h"
#include "freeze/marker.h"
#include "freeze/rcu.h"
#include "linux/facts.h"
#include "plan/mounts.h"

namespace vmtpy::freeze {

namespace {

constexpr Duration LOOK = std::chrono::milliseconds(10);

enum class Owner { DEAD, DYING, ALIVE };

std::vector<std::string> list_markers(const std::string& directory) {
  std::vector<std::string> names;
  DIR* open = opendir(directory.c_str());
  if (!open && errno == ENOENT) return names;
  if (!open) throw SystemError("opendir", directory, errno);
  // NOLINTNEXTLINE(concurrency-mt-unsafe): safe in glibc for streams that threads do not share
  while (const dirent* entry = readdir(open)) {
    if (std::string(entry->d_name).starts_with("freeze-")) names.emplace_back(entry->d_name);
  }
  closedir(open);
  std::sort(names.begin(), names.end());
  return names;
}

// Says whether SIGKILL has been sent to a process and has not yet had its effect. The signal stays
// pending to the very end.
bool is_being_killed(linux::System& system, const std::string& process) {
  std::string text;
  // Without the file the process is gone.
  if (system.read_file("/proc/" + process + "/status", text) != 0) return true;
  const std::string name = "\nShdPnd:";
  const std::size_t at = text.find(name);
  if (at == std::string::npos) return false;
  const std::uint64_t pending = std::strtoull(text.c_str() + at + name.size(), nullptr, 16);
  return pending >> (SIGKILL - 1) & 1;
}

// Says how the owner is. A killed process is a zombie for as long as one of its threads is stuck in
// FIFREEZE.
Owner look_at_owner(linux::System& system, const Marker& marker) {
  char state = 0;
  std::uint64_t start = 0;
  const std::string process = std::to_string(marker.process);
  if (!read_process(system, process, state, start) || start != marker.process_start)
    return Owner::DEAD;
  if (state != 'Z' && state != 'X') {
    return is_being_killed(system, process) ? Owner::DYING : Owner::ALIVE;
  }
  const std::vector<std::string> threads = linux::list_directory("/proc/" + process + "/task");
  return threads.size() > 1 ? Owner::DYING : Owner::DEAD;
}

// Returns the device on which an open directory lies, "" if that cannot be told. Mount ids are
// given again, so the device is known only while the directory is open.
std::string device_of(linux::System& system, std::uint64_t mount_id) {
  std::string mountinfo;
  if (linux::read_mountinfo(system, mountinfo) != 0) return "";
  const plan::Mounts mounts(mountinfo);
  const plan::Mount* mount = mounts.by_id(mount_id);
  return mount == nullptr ? "" : mount->device;
}

// Opens a superblock's directory by any of its mounts that can be opened; another mount may lie on
// top of the path.
int open_superblock(linux::System& system, const plan::Superblock& superblock, std::string& path) {
  int error = -ENOENT;
  for (const plan::Mount* mount : superblock.mounts) {
    const int descriptor = system.open_directory(mount->point);
    if (descriptor < 0) {
      error = descriptor;
      continue;
    }
    linux::MountId id;
    path = mount->point;
    if (system.mount_id(descriptor, id) == 0 && id.id == mount->id &&
        device_of(system, id.id) == superblock.device) {
      return descriptor;
    }
    system.close(descriptor);
    error = -ESTALE;
  }
  return error;
}

// Thaws by one marker. It lives in one call of thaw_from_markers(), in the thread of the caller.
class MarkerRescue {
 public:
  MarkerRescue(linux::System& system, std::string file, bool force, Time deadline,
               std::vector<RescueResult>& results)
      : system_(system),
        file_(std::move(file)),
        force_(force),
        deadline_(deadline),
        results_(results) {}

  void rescue(const std::string& boot, const plan::Mounts& mounts) {
    std::string text, error;
    if (const int code = system_.read_file(file_, text)) {
      return tell(Rescue::FAILED, SystemError("read", file_, -code).what());
    }
    if (!parse_marker(text, marker_, error)) return tell(Rescue::FAILED, file_ + " " + error);
    const std::string process = "process " + std::to_string(marker_.process);
    if (marker_.boot != boot) {
      remove();
      return tell(Rescue::STALE, file_ + " is of an earlier boot");
    }
    owner_ = look_at_owner(system_, marker_);
    if (owner_ == Owner::ALIVE && !force_) {
      std::string paths;
      for (const Marker::Entry& entry : marker_.filesystems) paths += " " + entry.path;
      return tell(Rescue::REFUSED, process + " is alive and holds this freeze:" + paths);
    }
    thaw_all(mounts);
    if (!marker_.rcu.empty()) restore_rcu();
    restore_bounds();
    if (done_) remove();
  }

 private:
  void tell(Rescue result, std::string text, const Marker::Entry& entry = {}) {
    results_.push_back({result, file_, entry.path, entry.device, std::move(text)});
    if (result == Rescue::FAILED) done_ = false;
  }

  // Thaws everything, repeatedly while the dead process may still be about to freeze: its threads
  // in FIFREEZE freeze when that returns, and its conductor may be writing rcu_expedited. What is
  // behind a server comes last, because an open() there may wait for ever.
  void thaw_all(const plan::Mounts& mounts) {
    std::vector<Marker::Entry> left(marker_.filesystems.rbegin(), marker_.filesystems.rend());
    std::stable_partition(left.begin(), left.end(), [&](const Marker::Entry& entry) {
      const plan::Superblock* superblock = mounts.superblock(entry.device);
      return superblock == nullptr || !superblock->main().behind_server;
    });
    for (;;) {
      std::erase_if(left, [&](const Marker::Entry& entry) { return thaw(entry, mounts); });
      if (owner_ != Owner::DYING) break;
      if (std::chrono::steady_clock::now() >= deadline_) break;
      std::this_thread::sleep_for(LOOK);
      // The owner is looked at before the thaws: if it is dead now, its FIFREEZE returned before
      // them.
      owner_ = look_at_owner(system_, marker_);
    }
    for (const Marker::Entry& entry : left) {
      tell(Rescue::FAILED,
           entry.path + ": the dead process " + std::to_string(marker_.process) +
               " is still in FIFREEZE; end what it waits for, then repeat this",
           entry);
    }
  }

  // Returns false when the filesystem was not frozen but may be about to be.
  bool thaw(const Marker::Entry& entry, const plan::Mounts& mounts) {
    const plan::Superblock* superblock = mounts.superblock(entry.device);
    if (!superblock) {
      done_ = done_ && force_;
      tell(Rescue::NOT_MOUNTED,
           entry.path + " (" + entry.device + ") is not mounted here any more; if it is still " +
               "frozen, mount its device again and repeat this",
           entry);
      return true;
    }
    // A filesystem keeps its device number for as long as it is frozen, even when it is not
    // mounted.
    const plan::Mount& main = superblock->main();
    if (entry.type != main.type) {
      tell(Rescue::NOT_FROZEN,
           entry.path + " is gone and was not frozen: " + entry.device +
               " is another filesystem now, " + main.type + " on " + main.point,
           entry);
      return true;
    }
    std::string path;
    const int descriptor = open_superblock(system_, *superblock, path);
    if (descriptor < 0) {
      tell(Rescue::FAILED, SystemError("open", entry.path, -descriptor).what(), entry);
      return true;
    }
    const int result = system_.thaw(descriptor);
    system_.close(descriptor);
    if (result == -EINVAL && owner_ == Owner::DYING) return false;
    if (result == 0) {
      tell(Rescue::THAWED, path + " is thawed", entry);
    } else if (result == -EINVAL) {
      tell(Rescue::NOT_FROZEN, path + " was not frozen", entry);
    } else {
      tell(Rescue::FAILED, SystemError("FITHAW", path, -result).what(), entry);
    }
    return true;
  }

  void restore_bounds() {
    for (const Restore& bound : marker_.bounds) {
      const int error = put_back(system_, bound);
      if (error) tell(Rescue::FAILED, SystemError("write", bound.path, -error).what());
    }
  }

  void restore_rcu() {
    const int error = system_.write_file(RcuSwitch::PATH, marker_.rcu);
    if (error) tell(Rescue::FAILED, SystemError("write", RcuSwitch::PATH, -error).what());
  }

  void remove() {
    const int error = system_.remove_file(file_);
    if (error && error != -ENOENT)
      tell(Rescue::FAILED, SystemError("unlink", file_, -error).what());
  }

  linux::System& system_;
  const std::string file_;
  const bool force_;
  const Time deadline_;
  std::vector<RescueResult>& results_;
  Marker marker_;
  Owner owner_ = Owner::DEAD;
  bool done_ = true;
};

}  // namespace

std::vector<RescueResult> thaw_from_markers(linux::System& system, const std::string& run_directory,
                                            bool force, Duration patience) {
  const Time deadline = std::chrono::steady_clock::now() + patience;
  std::vector<RescueResult> results;
  const std::vector<std::string> names = list_markers(run_directory);
  if (names.empty()) return results;
  std::string mountinfo;
  if (const int error = linux::read_mountinfo(system, mountinfo)) {
    throw SystemError("read", linux::MOUNTINFO, -error);
  }
  const plan::Mounts mounts(mountinfo);
  std::string boot;
  if (const int error = read_boot_id(system, boot)) throw SystemError("read", BOOT_ID, -error);
  const std::string place = run_directory + "/";
  for (const std::string& name : names) {
    MarkerRescue(system, place + name, force, deadline, results).rescue(boot, mounts);
  }
  return results;
}

}  // namespace vmtpy::freeze
