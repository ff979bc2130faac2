// The workers' loop: open, sync, freeze and thaw of one filesystem each, outside of the lock.
// Relies on System for the calls and on Guardian, which hears of each change.
#include "freeze/freezer.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/assertion.h"
#include "linux/threads.h"
#include "plan/mounts.h"

namespace vmtpy::freeze {

namespace {

using namespace std::chrono_literals;

// The pauses between two attempts of a FITHAW that fails.
constexpr Duration FIRST_PAUSE = 5ms;
constexpr Duration LONGEST_PAUSE = 1s;
// Between two looks at a device that a snapshot has suspended.
constexpr Duration RESUME_LOOK = 5ms;

std::string describe(const std::string& type, const std::string& source,
                     const std::string& device) {
  return type + " " + source + " (" + device + ")";
}

// Says whether the task's call needs the open directory.
bool in_use(Task task) {
  return task == Task::OPEN || task == Task::SYNC || task == Task::FREEZE;
}

// The files that say whether device-mapper has suspended a device below each filesystem.
std::vector<std::vector<std::string>> suspended_files(const std::vector<plan::Filesystem>& all) {
  std::vector<std::vector<std::string>> files(all.size());
  for (std::size_t index = 0; index < all.size(); ++index) {
    for (const std::string& device : all[index].mapped) {
      files[index].push_back("/sys/dev/block/" + device + "/dm/suspended");
    }
  }
  return files;
}

}  // namespace

Freezer::Freezer(linux::System& system, Clock& clock, std::vector<plan::Filesystem> filesystems,
                 AlreadyFrozen already_frozen)
    : system_(system),
      clock_(clock),
      filesystems_(std::move(filesystems)),
      suspended_files_(suspended_files(filesystems_)),
      already_frozen_(already_frozen),
      descriptors_(filesystems_.size(), -1),
      unique_ids_(filesystems_.size()),
      workers_(filesystems_.size()),
      guardian_(filesystems_.size()) {}

Freezer::~Freezer() {
  close_idle();
  for ([[maybe_unused]] const int descriptor : descriptors_) VMTPY_ASSERT(descriptor < 0);
}

void Freezer::close_idle() {
  for (std::size_t index = 0; index < size(); ++index) {
    {
      MutexLock lock(mutex);
      const Progress& progress = workers_[index].progress;
      if (progress.frozen || in_use(progress.task)) continue;
    }
    if (descriptors_[index] < 0) continue;
    system_.close(descriptors_[index]);
    descriptors_[index] = -1;
  }
}

int Freezer::compare_mounts(std::size_t& index, std::string& what) {
  std::string text;
  if (const int error = linux::read_mountinfo(system_, text)) return error;
  const plan::Mounts mounts(text);
  for (index = 0; index < size(); ++index) {
    const plan::Filesystem& planned = filesystems_[index];
    const plan::Mount* mount = mounts.by_id(planned.mount_id);
    if (mount == nullptr) {  // it was unmounted lazily
      what = "the planned mount is gone";
      return -ESTALE;
    }
    // An anonymous device number, as btrfs has, is given to the next filesystem at once.
    const bool anonymous = planned.device.starts_with("0:");
    if (mount->device != planned.device || mount->type != planned.type ||
        (anonymous && mount->source != planned.source)) {
      what = describe(mount->type, mount->source, mount->device) +
             " has been mounted there since the plan was made, in place of " +
             describe(planned.type, planned.source, planned.device);
      return -ESTALE;
    }
    if (planned.unique_id != 0 && planned.unique_id != unique_ids_[index]) {
      what = "it has been unmounted and mounted again since the plan was made";
      return -ESTALE;
    }
  }
  return 0;
}

std::string Freezer::describe_parent(std::size_t index) {
  std::string text;
  if (linux::read_mountinfo(system_, text)) return "";
  const plan::Mounts mounts(text);
  const plan::Mount* mount = mounts.by_id(filesystems_[index].mount_id);
  const plan::Mount* parent = mount ? mounts.by_id(mount->parent) : nullptr;
  return parent ? parent->point + " (" + parent->type + ")" : "";
}

int Freezer::find_suspended(std::size_t index) {
  const std::vector<std::string>& files = suspended_files_[index];
  std::string text;  // so short a text needs no memory
  const auto found = std::find_if(files.begin(), files.end(), [&](const std::string& file) {
    return system_.read_file(file, text) == 0 && text.starts_with('1');
  });
  return found == files.end() ? -1 : static_cast<int>(found - files.begin());
}

int Freezer::start_threads(const std::shared_ptr<Freezer>& self) {
  for (std::size_t index = 0; index < size(); ++index) {
    const int error =
        linux::start_thread("vmtpy-fs", linux::Role::FREEZER, [self, index] { self->work(index); });
    if (error) return error;
  }
  return 0;
}

bool Freezer::applies(Task task, std::size_t index) const {
  const Progress& progress = workers_[index].progress;
  if (task == Task::THAW) return progress.frozen && progress.task == Task::NONE;
  return progress.task == Task::NONE;
}

void Freezer::begin(Task task, int level) {
  VMTPY_ASSERT(task != Task::FREEZE || !giving_up_);
  for (std::size_t index = 0; index < size(); ++index) {
    if (level >= 0 && filesystems_[index].level != level) continue;
    if (!applies(task, index)) continue;
    workers_[index].progress.task = task;
    ++running_;
    workers_[index].wake.notify_one();
  }
}

bool Freezer::settled() const {
  return std::all_of(workers_.begin(), workers_.end(), [](const Worker& worker) {
    return !worker.progress.frozen && worker.progress.task != Task::FREEZE;
  });
}

bool Freezer::settled(int level) const {
  for (std::size_t index = 0; index < size(); ++index) {
    if (filesystems_[index].level == level && workers_[index].progress.frozen) return false;
  }
  return true;
}

void Freezer::work(std::size_t index) {
  MutexLock lock(mutex);
  Worker& me = workers_[index];
  for (;;) {
    while (me.progress.task == Task::NONE) me.wake.wait(lock);
    switch (me.progress.task) {
      case Task::OPEN:
        open(index);
        break;
      case Task::SYNC:
        sync(index);
        break;
      case Task::FREEZE:
        freeze(index, lock);
        if (me.progress.frozen && giving_up_) thaw(index, lock);
        break;
      case Task::THAW:
        thaw(index, lock);
        break;
      case Task::QUIT:
        finish(index);
        return;
      case Task::NONE:
        break;
    }
    finish(index);
  }
}

void Freezer::open(std::size_t index) {
  mutex.unlock();
  const char* call = "open";
  const plan::Filesystem& planned = filesystems_[index];
  int result = system_.open_directory(planned.path);
  if (result >= 0) {
    descriptors_[index] = result;
    call = "statx";
    linux::MountId id;
    result = system_.mount_id(descriptors_[index], id);
    unique_ids_[index] = id.unique;
    if (result == 0 && id.id != planned.mount_id) result = -ESTALE;
  }
  mutex.lock();
  if (result < 0) fail(index, call, -result);
}

void Freezer::sync(std::size_t index) {
  mutex.unlock();
  const Time began = clock_.now();
  const int result = system_.sync(descriptors_[index]);
  const Time ended = clock_.now();
  mutex.lock();
  Progress& progress = workers_[index].progress;
  progress.presync += ended - began;
  ++progress.rounds;
  if (result < 0) fail(index, "syncfs", -result);
}

// Device-mapper freezes the filesystem itself, from the suspension of a volume below to its resume.
// A snapshot that begins after the conductor has looked is waited for here.
void Freezer::freeze(std::size_t index, MutexLock& lock) {
  if (giving_up_) return;
  Worker& me = workers_[index];
  VMTPY_ASSERT(!me.progress.frozen && descriptors_[index] >= 0);
  me.progress.freeze_began = clock_.now();
  const bool sync_only = filesystems_[index].sync_only;
  for (bool again = true;;) {
    mutex.unlock();
    const int result = sync_only ? system_.sync(descriptors_[index]) : try_to_freeze(index);
    const Time ended = clock_.now();
    const bool retry = again && result == -EBUSY && !filesystems_[index].mapped.empty();
    again = retry && find_suspended(index) >= 0;  // resumed by now: one more try tells
    mutex.lock();
    if (!retry || giving_up_) return end_freeze(index, result, ended);
    if (again) clock_.wait_until(lock, me.wake, ended + RESUME_LOOK);
  }
}

int Freezer::try_to_freeze(std::size_t index) {
  if (!guardian_.begin_freeze(index)) return -ECANCELED;
  const int result = system_.freeze(descriptors_[index]);
  if (result == 0) {
    guardian_.set_frozen(index);
  } else {
    guardian_.set_thawed(index);
  }
  return result;
}

void Freezer::end_freeze(std::size_t index, int result, Time ended) {
  Progress& progress = workers_[index].progress;
  const bool sync_only = filesystems_[index].sync_only;
  progress.frozen_at = ended;
  if (result == 0) {
    progress.frozen = !sync_only;
  } else if (result == -EBUSY && already_frozen_ == AlreadyFrozen::ACCEPT && !sync_only) {
    progress.foreign = true;
  } else {
    fail(index, sync_only ? "syncfs" : "FIFREEZE", -result);
  }
}

// Retries FITHAW until it has succeeded or somebody else has thawed. The descriptor stays open
// until then.
void Freezer::thaw(std::size_t index, MutexLock& lock) {
  Worker& me = workers_[index];
  VMTPY_ASSERT(me.progress.frozen && descriptors_[index] >= 0);
  me.progress.task = Task::THAW;
  me.progress.thaw_began = clock_.now();
  for (Duration pause = FIRST_PAUSE;; pause = std::min(2 * pause, LONGEST_PAUSE)) {
    mutex.unlock();
    const int result = system_.thaw(descriptors_[index]);
    const Time ended = clock_.now();
    const bool settled = result == 0 || result == -EINVAL;
    const bool by_guardian = settled && guardian_.set_thawed(index);
    mutex.lock();
    me.progress.thaw_error = result == -EINVAL ? 0 : -result;
    if (settled) {
      me.progress.frozen = false;
      me.progress.found_thawed = result == -EINVAL;
      me.progress.by_guardian = by_guardian;
      me.progress.thawed_at = ended;
      return;
    }
    changed.notify_one();
    const Time again = ended + pause;
    while (clock_.now() < again) clock_.wait_until(lock, me.wake, again);
  }
}

void Freezer::fail(std::size_t index, const char* call, int error) {
  Progress& progress = workers_[index].progress;
  progress.call = call;
  progress.error = error;
  if (failed_ < 0) failed_ = static_cast<int>(index);
  changed.notify_one();
}

void Freezer::finish(std::size_t index) {
  VMTPY_ASSERT(workers_[index].progress.task != Task::NONE && running_ > 0);
  workers_[index].progress.task = Task::NONE;
  if (--running_ == 0 || giving_up_) changed.notify_one();
}

}  // namespace vmtpy::freeze
