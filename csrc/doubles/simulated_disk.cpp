// Disks and files in memory. The pacing of writers is a simple model of Linux: a writer above three
// quarters of the bound has the kernel write until half of it is left; the nearer to the bound, the
// slower, and no further than it. A sync leaves what is dirty, as if it belonged to others.
#include "doubles/simulated_disk.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>

namespace vmtpy::doubles {

namespace {

// These descriptors cannot be taken for real ones.
constexpr int FIRST_DESCRIPTOR = 1 << 20;
constexpr std::uint64_t FIRST_MOUNT_ID = 1000;
constexpr const char* CLASS = "/sys/class/bdi/";
constexpr double ALL = 1e6;  // in the files whose names end in _ratio_fine

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
  MutexLock guard(mutex_);
  std::vector<plan::Filesystem> result;
  for (std::size_t i = 0; i < disks_.size(); ++i) {
    plan::Filesystem filesystem;
    filesystem.path = disks_[i].path;
    filesystem.mount_id = FIRST_MOUNT_ID + i;
    filesystem.device = "0:" + std::to_string(FIRST_MOUNT_ID + i);
    filesystem.type = "simulated";
    filesystem.source = "none";
    if (!disks_[i].bdi.empty()) filesystem.bdis = filesystem.sinks = {disks_[i].bdi};
    result.push_back(std::move(filesystem));
  }
  return result;
}

Duration SimulatedDisk::write(const std::string& path) {
  MutexLock lock(mutex_);
  Disk* disk = find(path);
  if (!disk) return {};
  Time start = std::chrono::steady_clock::now();
  changed_.wait(lock, [disk] { return !disk->frozen; });
  ++disk->written;
  return std::chrono::steady_clock::now() - start;
}

std::uint64_t SimulatedDisk::written(const std::string& path) const {
  MutexLock guard(mutex_);
  const Disk* disk = const_cast<SimulatedDisk*>(this)->find(path);
  return disk ? disk->written : 0;
}

bool SimulatedDisk::frozen(const std::string& path) const {
  MutexLock guard(mutex_);
  const Disk* disk = const_cast<SimulatedDisk*>(this)->find(path);
  return disk && disk->frozen;
}

void SimulatedDisk::thaw_by_someone_else(const std::string& path) {
  MutexLock guard(mutex_);
  if (Disk* disk = find(path)) disk->frozen = false;
  changed_.notify_all();
}

void SimulatedDisk::hold(const std::string& path) {
  MutexLock guard(mutex_);
  if (Disk* disk = find(path)) disk->held = true;
}

void SimulatedDisk::let_go(const std::string& path) {
  MutexLock guard(mutex_);
  if (Disk* disk = find(path)) disk->held = false;
  changed_.notify_all();
}

void SimulatedDisk::refuse_freeze(const std::string& path, int error) {
  MutexLock guard(mutex_);
  if (Disk* disk = find(path)) disk->refusal = error;
}

void SimulatedDisk::hold_syncs(const std::string& path) {
  MutexLock guard(mutex_);
  if (Disk* disk = find(path)) disk->syncs_held = true;
}

void SimulatedDisk::let_sync_go(const std::string& path) {
  MutexLock guard(mutex_);
  if (Disk* disk = find(path)) ++disk->syncs_let_go;
  changed_.notify_all();
}

void SimulatedDisk::put_storage(const std::string& path, double dirty, double disk_rate,
                                double writer_rate) {
  MutexLock guard(mutex_);
  Disk* disk = find(path);
  if (!disk) return;
  if (disk->bdi.empty()) {
    disk->bdi = "simulated-" + std::to_string(disk - disks_.data());
    const std::string directory = CLASS + disk->bdi;
    for (const char* file : {"/strict_limit", "/min_ratio_fine", "/min_bytes"}) {
      files_[directory + file] = "0\n";
    }
    files_[directory + "/max_ratio_fine"] = "1000000\n";
    files_[directory + "/max_bytes"] = std::to_string(std::llround(limit_)) + "\n";
  }
  disk->dirty = dirty;
  disk->disk_rate = disk_rate;
  disk->writer_rate = writer_rate;
  tell(*disk);
}

void SimulatedDisk::put_limit(double limit) {
  MutexLock guard(mutex_);
  limit_ = limit;
  for (auto& [path, text] : files_) {
    if (path.ends_with("/max_bytes")) text = std::to_string(std::llround(limit)) + "\n";
  }
}

void SimulatedDisk::pass(Duration time) {
  MutexLock guard(mutex_);
  for (Disk& disk : disks_) {
    if (disk.bdi.empty()) continue;
    constexpr Duration STEP = std::chrono::milliseconds(1);
    for (Duration passed{}; passed < time; passed += STEP) pass(disk, 0.001);
    tell(disk);
    disk.synced = false;
  }
}

void SimulatedDisk::pass(Disk& disk, double seconds) {
  const std::string directory = CLASS + disk.bdi;
  const bool strict = files_[directory + "/strict_limit"].starts_with('1');
  const double bound = strict ? std::atof(files_[directory + "/max_bytes"].c_str()) : limit_;
  if (disk.writer_rate > 0 && (!strict || disk.dirty > bound * 3 / 4)) disk.flushing = true;
  if (strict && disk.dirty <= bound / 2) disk.flushing = false;
  if (disk.flushing) {
    const double out = std::min(disk.dirty, disk.disk_rate * seconds);
    disk.dirty -= out;
    disk.flushed += out;
  }
  const double free = std::clamp((bound - disk.dirty) / (bound / 4), 0.0, 1.0);
  const bool stopped = disk.writer_rate > 0 && free <= 0;
  disk.stop = stopped ? disk.stop + std::chrono::milliseconds(1) : Duration::zero();
  disk.longest_stop = std::max(disk.longest_stop, disk.stop);
  if (!disk.frozen) disk.dirty += std::min(disk.writer_rate * free * seconds, bound - disk.dirty);
}

void SimulatedDisk::tell(const Disk& disk) {
  const auto kilobytes = [](double bytes) { return std::to_string(std::llround(bytes / 1024)); };
  const double writing = disk.flushing || disk.synced ? disk.dirty / 2 : 0;
  files_["/sys/kernel/debug/bdi/" + disk.bdi + "/stats"] =
      "BdiWriteback: " + kilobytes(writing) +
      " kB\nBdiReclaimable: " + kilobytes(disk.dirty - writing) +
      " kB\nBdiWritten: " + kilobytes(disk.flushed) + " kB\nBdiWriteBandwidth: 102400 kBps\n";
}

double SimulatedDisk::dirty_at_freeze(const std::string& path) const {
  MutexLock guard(mutex_);
  const Disk* disk = const_cast<SimulatedDisk*>(this)->find(path);
  return disk ? disk->dirty_at_freeze : 0;
}

Duration SimulatedDisk::longest_stop(const std::string& path) const {
  MutexLock guard(mutex_);
  const Disk* disk = const_cast<SimulatedDisk*>(this)->find(path);
  return disk ? disk->longest_stop : Duration::zero();
}

std::map<std::string, std::string> SimulatedDisk::files() const {
  MutexLock guard(mutex_);
  return files_;
}

void SimulatedDisk::put_file(const std::string& path, const std::string& text) {
  MutexLock guard(mutex_);
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
  MutexLock guard(mutex_);
  Disk* disk = find(path);
  return disk ? FIRST_DESCRIPTOR + static_cast<int>(disk - disks_.data()) : -ENOENT;
}

int SimulatedDisk::close(int descriptor) {
  MutexLock guard(mutex_);
  return at(descriptor) ? 0 : -EBADF;
}

int SimulatedDisk::mount_id(int descriptor, linux::MountId& id) {
  MutexLock guard(mutex_);
  if (!at(descriptor)) return -EBADF;
  id = {FIRST_MOUNT_ID + static_cast<std::uint64_t>(descriptor - FIRST_DESCRIPTOR), 0};
  return 0;
}

int SimulatedDisk::sync(int descriptor) {
  MutexLock lock(mutex_);
  Disk* disk = at(descriptor);
  if (!disk) return -EBADF;
  disk->synced = true;
  changed_.wait(lock, [disk] { return !disk->syncs_held || disk->syncs_let_go > 0; });
  if (disk->syncs_held) --disk->syncs_let_go;
  return 0;
}

int SimulatedDisk::freeze(int descriptor) {
  MutexLock lock(mutex_);
  Disk* disk = at(descriptor);
  if (!disk) return -EBADF;
  if (disk->frozen) return -EBUSY;
  changed_.wait(lock, [disk] { return !disk->held; });
  if (disk->frozen) return -EBUSY;
  if (disk->refusal != 0) return -disk->refusal;
  disk->frozen = true;
  disk->dirty_at_freeze = disk->dirty;
  disk->dirty = 0;
  return 0;
}

int SimulatedDisk::thaw(int descriptor) {
  MutexLock guard(mutex_);
  Disk* disk = at(descriptor);
  if (!disk) return -EBADF;
  if (!disk->frozen) return -EINVAL;  // as FITHAW does, also while a freeze is still waiting
  disk->frozen = false;
  changed_.notify_all();
  return 0;
}

pid_t SimulatedDisk::fork() {
  return -ENOSYS;
}

int SimulatedDisk::read_file(const std::string& path, std::string& text) {
  MutexLock guard(mutex_);
  auto found = files_.find(path);
  if (found == files_.end()) return -ENOENT;
  text = found->second;
  return 0;
}

// The kernel keeps bounds in millionths of the machine's limit, takes none above that limit, and
// keeps the least from being above the most.
int SimulatedDisk::write_file(const std::string& path, std::string_view text) {
  MutexLock guard(mutex_);
  auto found = files_.find(path);
  if (found == files_.end()) return -ENOENT;
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  const std::string file = path.substr(directory.size());
  const std::string kind = file.substr(0, 4);  // "min_" or "max_"
  if (file == kind + "bytes" || file == kind + "ratio_fine") {
    const double value = std::atof(std::string(text).c_str());
    const double bytes = file == kind + "bytes" ? value : value / ALL * limit_;
    const bool most = kind == "max_";
    const double other = std::atof(files_[directory + (most ? "min_" : "max_") + "bytes"].c_str());
    if (bytes > limit_ || (most ? bytes < other : bytes > other)) return -EINVAL;
    files_[directory + kind + "bytes"] = std::to_string(std::llround(bytes)) + "\n";
    files_[directory + kind + "ratio_fine"] =
        std::to_string(std::llround(bytes / limit_ * ALL)) + "\n";
    return 0;
  }
  found->second = text;
  return 0;
}

int SimulatedDisk::create_file(const std::string& path, std::string_view text) {
  MutexLock guard(mutex_);
  return files_.emplace(path, text).second ? 0 : -EEXIST;
}

int SimulatedDisk::make_directory(const std::string&) {
  return 0;
}

int SimulatedDisk::remove_file(const std::string& path) {
  MutexLock guard(mutex_);
  return files_.erase(path) ? 0 : -ENOENT;
}

}  // namespace vmtpy::doubles
