// Finds the programs that keep a filesystem from being frozen. FIFREEZE waits, uninterruptibly, for
// every writer that is inside, and a writer may sleep there for ever: in splice() from an empty
// pipe, or in a write whose source page does not come. Any unprivileged user can cause that. It
// serves the conductor and relies on /proc. It never reads /proc/PID/cmdline, which waits for
// writers that are stuck in a page fault.
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
  std::string name;    // the name of the process, as in /proc/PID/stat
  std::string call;    // "splice", "write", …
  std::string device;  // "major:minor" of the filesystem in which it is
};

// Returns the threads that are asleep inside a write to one of these filesystems, and not because
// it is frozen. Returns what it has when `stop` becomes true.
std::vector<StuckWriter> find_stuck_writers(const std::vector<plan::Filesystem>& filesystems,
                                            const std::atomic<bool>& stop);

// Owned by the conductor and by its own thread together. The thread of its own is needed because
// reading /proc may itself wait for a process in the kernel. Any thread may call the public
// functions.
class StuckWriterScout : public std::enable_shared_from_this<StuckWriterScout> {
 public:
  explicit StuckWriterScout(const std::vector<plan::Filesystem>& filesystems)
      : filesystems_(filesystems) {}
  // Starts the thread, before anything is frozen: later there may be no memory.
  void start();
  void look(Duration patience);  // looks, and waits for the result at most this long
  void quit();
  std::vector<StuckWriter> found() const;  // the result of the last look

 private:
  enum class Order { NONE, LOOK, QUIT };
  void work();

  const std::vector<plan::Filesystem> filesystems_;
  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> stop_{false};
  Order order_ GUARDED_BY(mutex_) = Order::NONE;
  bool started_ = false;  // only the conductor's thread uses it
  std::vector<StuckWriter> found_ GUARDED_BY(mutex_);
};

}  // namespace vmtpy::freeze
