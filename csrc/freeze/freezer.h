// The filesystems of a session, each with a thread of its own, because a FIFREEZE may wait for
// ever, uninterruptibly, and must then hold up nothing else. An open() may, too, where a server's
// filesystem lies on the way. It serves the conductor, which gives
// the threads their tasks and waits on one condition. One mutex guards everything, and it is also
// the session's.
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

enum class Task { NONE, OPEN, SYNC, FREEZE, THAW, QUIT };

// How far one filesystem is. This is plain data, so that it can be copied under the lock without
// allocating.
struct Progress {
  Task task = Task::NONE;     // what its thread is doing
  bool frozen = false;        // frozen by this session and not yet thawed
  bool found_thawed = false;  // FITHAW found it not frozen: somebody else has thawed it
  bool by_guardian = false;   // that somebody was the guardian
  bool foreign = false;       // frozen by somebody else, which was accepted
  int rounds = 0;             // rounds of syncfs
  Duration presync{};
  Time freeze_began{};
  Time frozen_at{};
  Time thaw_began{};
  Time thawed_at{};
  int error = 0;          // the (positive) errno of the first call that failed
  const char* call = "";  // that call
  // The errno of the last FITHAW that failed, 0 once it has succeeded.
  int thaw_error = 0;
};

// Owned by the conductor and by its own threads together, so it lives until the last of them has
// ended. The conductor's thread calls it.
class Freezer {
 public:
  Freezer(linux::System& system, Clock& clock, std::vector<plan::Filesystem> filesystems,
          AlreadyFrozen already_frozen);
  // No thread is left then, because each keeps this object alive.
  ~Freezer();

  const std::vector<plan::Filesystem>& filesystems() const { return filesystems_; }
  std::size_t size() const { return filesystems_.size(); }
  const std::vector<int>& descriptors() const { return descriptors_; }
  Guardian& guardian() { return guardian_; }

  // Returns which of the filesystem's mapped devices device-mapper has suspended, as it does for a
  // snapshot of one, or -1. Any thread may call it at any time.
  int find_suspended(std::size_t index);

  // These functions are called before anything is frozen, without the lock.
  //
  // Compares all open mounts with the plan, because ids are given again; a mount that is open keeps
  // its id. Returns 0 or -errno. After -ESTALE `index` is not the planned mount, and `what` says
  // why.
  int compare_mounts(std::size_t& index, std::string& what);
  // Returns the place and type of what filesystem `index` is mounted on, "" if that cannot be told.
  std::string describe_parent(std::size_t index);
  // Starts one thread for each filesystem. `self` keeps this object alive. Returns 0 or a
  // (positive) errno.
  int start_threads(const std::shared_ptr<Freezer>& self);
  // Closes the directories whose threads have nothing more to do. The thread that gives the tasks
  // calls it.
  void close_idle() EXCLUDES(mutex);

  Mutex mutex;
  // Notified when the last running task ends or one fails.
  std::condition_variable changed;
  const Progress& progress(std::size_t index) const REQUIRES(mutex) {
    return workers_[index].progress;
  }
  // Gives `task` to every filesystem of `level` to which it applies; level < 0 means all levels.
  void begin(Task task, int level) REQUIRES(mutex);
  std::size_t running() const REQUIRES(mutex) { return running_; }
  // The index of the first filesystem that failed to open, sync or freeze, or -1.
  int failed() const REQUIRES(mutex) { return failed_; }
  // From now on a filesystem that becomes frozen late is thawed at once by its own thread.
  void give_up() REQUIRES(mutex) { giving_up_ = true; }
  // True when nothing is frozen and nothing is in FIFREEZE.
  bool settled() const REQUIRES(mutex);
  bool settled(int level) const REQUIRES(mutex);

 private:
  struct Worker {
    Progress progress;
    std::condition_variable wake;
  };
  bool applies(Task task, std::size_t index) const REQUIRES(mutex);
  void work(std::size_t index) EXCLUDES(mutex);
  // These functions release the mutex for the time of their calls.
  //
  // Opens the directory and compares the mount's id. The error ESTALE means that the planned mount
  // is not there any more.
  void open(std::size_t index) REQUIRES(mutex);
  void sync(std::size_t index) REQUIRES(mutex);
  void freeze(std::size_t index, MutexLock& lock) REQUIRES(mutex);
  void thaw(std::size_t index, MutexLock& lock) REQUIRES(mutex);
  int try_to_freeze(std::size_t index) EXCLUDES(mutex);
  void end_freeze(std::size_t index, int result, Time ended) REQUIRES(mutex);
  void fail(std::size_t index, const char* call, int error) REQUIRES(mutex);
  void finish(std::size_t index) REQUIRES(mutex);

  linux::System& system_;
  Clock& clock_;
  const std::vector<plan::Filesystem> filesystems_;
  const std::vector<std::vector<std::string>> suspended_files_;
  const AlreadyFrozen already_frozen_;
  std::vector<int> descriptors_;                  // each is its thread's while that opens it
  std::vector<std::uint64_t> unique_ids_;         // the unique ids of the open mounts
  std::deque<Worker> workers_ GUARDED_BY(mutex);  // a deque, because workers cannot move
  Guardian guardian_;
  std::size_t running_ GUARDED_BY(mutex) = 0;
  int failed_ GUARDED_BY(mutex) = -1;
  bool giving_up_ GUARDED_BY(mutex) = false;
};

}  // namespace vmtpy::freeze
