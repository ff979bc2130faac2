// Who keeps a filesystem from being frozen: FIFREEZE waits, uninterruptibly, for every writer that
// is inside, and a writer may sleep there for ever: in splice() from an empty pipe, or in a write
// whose source page does not come. Any unprivileged user can do that. The scout looks for such
// threads in /proc from a thread of its own, since reading there may itself wait for a process in
// the kernel. It never reads /proc/PID/cmdline: that waits for writers that are stuck in a page
// fault.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/thread_safety.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

struct StuckWriter {
  pid_t process = 0;
  std::string name;    // of the process, as in /proc/PID/stat
  std::string call;    // "splice", "write", …
  std::string device;  // "major:minor" of the filesystem that it is inside
};

// Threads asleep inside a write to one of these filesystems and not because it is frozen. Gives up
// with what it has when `stop` comes true.
std::vector<StuckWriter> find_stuck_writers(const std::vector<plan::Filesystem>& filesystems,
                                            const std::atomic<bool>& stop);

class StuckWriterScout : public std::enable_shared_from_this<StuckWriterScout> {
 public:
  explicit StuckWriterScout(const std::vector<plan::Filesystem>& filesystems)
      : filesystems_(filesystems) {}
  void start();  // its thread, before anything is frozen: later there may be no memory
  void look(Duration patience);  // waits no longer than that for what it finds
  void quit();
  std::vector<StuckWriter> found() const;  // by the last look

 private:
  enum class Order { NONE, LOOK, QUIT };
  void work();

  const std::vector<plan::Filesystem> filesystems_;
  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> stop_{false};
  Order order_ GUARDED_BY(mutex_) = Order::NONE;
  bool started_ = false;  // conductor only
  std::vector<StuckWriter> found_ GUARDED_BY(mutex_);
};

}  // namespace vmtpy::freeze
