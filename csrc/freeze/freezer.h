// The filesystems of a session, each with a thread of its own: a FIFREEZE may wait for ever,
// uninterruptibly, and then it must hold up nobody but itself. The conductor gives the threads
// their tasks and waits on one condition; all is guarded by one mutex, which is also the session's.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/thread_safety.h"
#include "freeze/freeze_options.h"
#include "freeze/guardian.h"
#include "linux/system.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

enum class Task { NONE, SYNC, FREEZE, THAW, QUIT };

// How far one filesystem is. Plain data, so that it can be copied under the lock without
// allocating.
struct Progress {
  Task task = Task::NONE;     // what its thread is at
  bool frozen = false;        // by us, and not yet thawed
  bool found_thawed = false;  // FITHAW found it not frozen: somebody else has thawed it
  bool by_guardian = false;   // who was the guardian
  bool foreign = false;       // frozen by somebody else, which was accepted
  int rounds = 0;             // of syncfs
  Duration presync{};
  Time freeze_began{};
  Time frozen_at{};
  Time thaw_began{};
  Time thawed_at{};
  int error = 0;          // of the first call that failed, positive
  const char* call = "";  // that call
  int thaw_error = 0;     // of the last FITHAW that failed; 0 once it has succeeded
};

// Whether device-mapper has suspended a device ("major:minor"), as it does for a snapshot of it.
bool is_suspended(linux::System& system, const std::string& device);

class Freezer {
 public:
  Freezer(linux::System& system, Clock& clock, std::vector<plan::Filesystem> filesystems,
          AlreadyFrozen already_frozen);
  ~Freezer();  // no thread is left then: each of them keeps this alive

  const std::vector<plan::Filesystem>& filesystems() const { return filesystems_; }
  std::size_t size() const { return filesystems_.size(); }
  const std::vector<int>& descriptors() const { return descriptors_; }
  Guardian& guardian() { return guardian_; }

  // Before anything is frozen, without the lock.
  // Opens the directory of `index` and compares the mount's id: 0 or -errno, with the failed call;
  // -ESTALE: the planned mount is not there any more.
  int open(std::size_t index, const char*& call);
  // Whether all that is open is what was planned, for ids are given again. 0 or -errno; -ESTALE:
  // `index` is not, and `what` says so. A mount that is open keeps its id.
  int compare_mounts(std::size_t& index, std::string& what);
  // One thread per filesystem; `self` keeps this alive. 0 or an errno (positive).
  int start_threads(const std::shared_ptr<Freezer>& self);
  // Closes the directories whose threads have nothing more to do. Called by who gives the tasks.
  void close_idle() EXCLUDES(mutex);

  Mutex mutex;
  std::condition_variable changed;  // notified when the last running task ends or one fails
  const Progress& progress(std::size_t index) const REQUIRES(mutex) {
    return workers_[index].progress;
  }
  // Gives `task` to every filesystem of `level` that it applies to; level < 0: of all.
  void begin(Task task, int level) REQUIRES(mutex);
  std::size_t running() const REQUIRES(mutex) { return running_; }
  // The index of the first that failed to sync or freeze, or -1.
  int failed() const REQUIRES(mutex) { return failed_; }
  // From now on what becomes frozen late is thawed at once by its own thread.
  void give_up() REQUIRES(mutex) { giving_up_ = true; }
  // Nothing is frozen, nothing is in FIFREEZE.
  bool settled() const REQUIRES(mutex);
  bool settled(int level) const REQUIRES(mutex);

 private:
  struct Worker {
    Progress progress;
    std::condition_variable wake;
  };
  bool applies(Task task, std::size_t index) const REQUIRES(mutex);
  void work(std::size_t index) EXCLUDES(mutex);
  // These give the mutex back for the time of their calls.
  void sync(std::size_t index) REQUIRES(mutex);
  void freeze(std::size_t index, MutexLock& lock) REQUIRES(mutex);
  void thaw(std::size_t index, MutexLock& lock) REQUIRES(mutex);
  int try_to_freeze(std::size_t index) EXCLUDES(mutex);
  bool is_on_suspended(std::size_t index);
  void end_freeze(std::size_t index, int result, Time ended) REQUIRES(mutex);
  void fail(std::size_t index, const char* call, int error) REQUIRES(mutex);
  void finish(std::size_t index) REQUIRES(mutex);

  linux::System& system_;
  Clock& clock_;
  const std::vector<plan::Filesystem> filesystems_;
  const AlreadyFrozen already_frozen_;
  std::vector<int> descriptors_;
  std::vector<std::uint64_t> unique_ids_;         // of what is open
  std::deque<Worker> workers_ GUARDED_BY(mutex);  // of things that cannot move
  Guardian guardian_;
  std::size_t running_ GUARDED_BY(mutex) = 0;
  int failed_ GUARDED_BY(mutex) = -1;
  bool giving_up_ GUARDED_BY(mutex) = false;
};

}  // namespace vmtpy::freeze
