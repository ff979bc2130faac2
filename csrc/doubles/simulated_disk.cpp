#include "doubles/simulated_disk.h"

#include <cerrno>
#include <chrono>

namespace vmtpy::doubles {

namespace {

// Descriptors that cannot be taken for real ones.
constexpr int FIRST_DESCRIPTOR = 1 << 20;
constexpr std::uint64_t FIRST_MOUNT_ID = 1000;

}  // namespace

SimulatedDisk::SimulatedDisk(std::vector<std::string> paths) {
  for (std::string& path : paths) {
    Disk disk;
    disk.path = std::move(path);
    disks_.push_back(std::move(disk));
  }
  files_ = {
      {"/proc/self/stat", "1 (simulated) S 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1"},
      {"/proc/sys/kernel/random/boot_id", "simulated\n"},
      {"/sys/kernel/rcu_expedited", "0\n"},
      {"/sys/kernel/rcu_normal", "0\n"},
  };
  std::string& mountinfo = files_["/proc/self/mountinfo"];
  for (std::size_t i = 0; i < disks_.size(); ++i) {
    const std::string number = std::to_string(FIRST_MOUNT_ID + i);
    mountinfo += number + " 1 0:" + number + " / /" + number + " rw - simulated none rw\n";
  }
}

std::vector<plan::Filesystem> SimulatedDisk::filesystems() const {
  std::lock_guard guard(mutex_);
  std::vector<plan::Filesystem> result;
  for (std::size_t i = 0; i < disks_.size(); ++i) {
    plan::Filesystem filesystem;
    filesystem.path = disks_[i].path;
    filesystem.mount_id = FIRST_MOUNT_ID + i;
    filesystem.device = "0:" + std::to_string(FIRST_MOUNT_ID + i);
    filesystem.type = "simulated";
    filesystem.source = "none";
    result.push_back(std::move(filesystem));
  }
  return result;
}

Duration SimulatedDisk::write(const std::string& path) {
  std::unique_lock lock(mutex_);
  Disk* disk = find(path);
  if (!disk) return {};
  Time start = std::chrono::steady_clock::now();
  changed_.wait(lock, [disk] { return !disk->frozen; });
  ++disk->written;
  return std::chrono::steady_clock::now() - start;
}

std::uint64_t SimulatedDisk::written(const std::string& path) const {
  std::lock_guard guard(mutex_);
  const Disk* disk = const_cast<SimulatedDisk*>(this)->find(path);
  return disk ? disk->written : 0;
}

bool SimulatedDisk::frozen(const std::string& path) const {
  std::lock_guard guard(mutex_);
  const Disk* disk = const_cast<SimulatedDisk*>(this)->find(path);
  return disk && disk->frozen;
}

void SimulatedDisk::thaw_by_someone_else(const std::string& path) {
  std::lock_guard guard(mutex_);
  if (Disk* disk = find(path)) disk->frozen = false;
  changed_.notify_all();
}

void SimulatedDisk::hold(const std::string& path) {
  std::lock_guard guard(mutex_);
  if (Disk* disk = find(path)) disk->held = true;
}

void SimulatedDisk::let_go(const std::string& path) {
  std::lock_guard guard(mutex_);
  if (Disk* disk = find(path)) disk->held = false;
  changed_.notify_all();
}

void SimulatedDisk::hold_syncs(const std::string& path) {
  std::lock_guard guard(mutex_);
  if (Disk* disk = find(path)) disk->syncs_held = true;
}

void SimulatedDisk::let_sync_go(const std::string& path) {
  std::lock_guard guard(mutex_);
  if (Disk* disk = find(path)) ++disk->syncs_let_go;
  changed_.notify_all();
}

std::map<std::string, std::string> SimulatedDisk::files() const {
  std::lock_guard guard(mutex_);
  return files_;
}

void SimulatedDisk::put_file(const std::string& path, const std::string& text) {
  std::lock_guard guard(mutex_);
  files_[path] = text;
}

SimulatedDisk::Disk* SimulatedDisk::find(const std::string& path) {
  for (Disk& disk : disks_) {
    if (disk.path == path) return &disk;
  }
  return nullptr;
}

SimulatedDisk::Disk* SimulatedDisk::at(int descriptor) {
  std::size_t index = static_cast<std::size_t>(descriptor) - FIRST_DESCRIPTOR;
  return index < disks_.size() ? &disks_[index] : nullptr;
}

int SimulatedDisk::open_directory(const std::string& path) {
  std::lock_guard guard(mutex_);
  Disk* disk = find(path);
  return disk ? FIRST_DESCRIPTOR + static_cast<int>(disk - disks_.data()) : -ENOENT;
}

int SimulatedDisk::close(int descriptor) {
  std::lock_guard guard(mutex_);
  return at(descriptor) ? 0 : -EBADF;
}

int SimulatedDisk::mount_id(int descriptor, linux::MountId& id) {
  std::lock_guard guard(mutex_);
  if (!at(descriptor)) return -EBADF;
  id = {FIRST_MOUNT_ID + static_cast<std::uint64_t>(descriptor - FIRST_DESCRIPTOR), 0};
  return 0;
}

int SimulatedDisk::sync(int descriptor) {
  std::unique_lock lock(mutex_);
  Disk* disk = at(descriptor);
  if (!disk) return -EBADF;
  changed_.wait(lock, [disk] { return !disk->syncs_held || disk->syncs_let_go > 0; });
  if (disk->syncs_held) --disk->syncs_let_go;
  return 0;
}

int SimulatedDisk::freeze(int descriptor) {
  std::unique_lock lock(mutex_);
  Disk* disk = at(descriptor);
  if (!disk) return -EBADF;
  if (disk->frozen) return -EBUSY;
  changed_.wait(lock, [disk] { return !disk->held; });
  if (disk->frozen) return -EBUSY;
  disk->frozen = true;
  return 0;
}

int SimulatedDisk::thaw(int descriptor) {
  std::lock_guard guard(mutex_);
  Disk* disk = at(descriptor);
  if (!disk) return -EBADF;
  if (!disk->frozen) return -EINVAL;  // as FITHAW, also while a freeze is still waiting
  disk->frozen = false;
  changed_.notify_all();
  return 0;
}

pid_t SimulatedDisk::fork() {
  return -ENOSYS;
}

int SimulatedDisk::read_file(const std::string& path, std::string& text) {
  std::lock_guard guard(mutex_);
  auto found = files_.find(path);
  if (found == files_.end()) return -ENOENT;
  text = found->second;
  return 0;
}

int SimulatedDisk::write_file(const std::string& path, std::string_view text) {
  std::lock_guard guard(mutex_);
  auto found = files_.find(path);
  if (found == files_.end()) return -ENOENT;
  found->second = text;
  return 0;
}

int SimulatedDisk::create_file(const std::string& path, std::string_view text) {
  std::lock_guard guard(mutex_);
  return files_.emplace(path, text).second ? 0 : -EEXIST;
}

int SimulatedDisk::make_directory(const std::string&) {
  return 0;
}

int SimulatedDisk::remove_file(const std::string& path) {
  std::lock_guard guard(mutex_);
  return files_.erase(path) ? 0 : -ENOENT;
}

}  // namespace vmtpy::doubles
