// The guardian is a child process that holds the same directories as the session and thaws them
// when the session cannot, because its process died or because the limit passed while it was
// stopped or stuck. It serves the conductor.
//
// It learns of a death from a robust futex, not from a pipe: the kernel marks the futex when the
// conductor's thread dies, before the memory of its process is freed (75 ms for 1 GiB) and although
// a sibling thread is stuck in FIFREEZE (which keeps every descriptor of the process open).
//
// A page shared by both tells the state of each filesystem. Each change is one atomic operation, so
// whenever the session stops for ever, the page says what to do.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "freeze/bdi.h"
#include "linux/system.h"

namespace vmtpy::freeze {

// What else the guardian puts back when all is thawed. This is prepared before the fork, because
// the guardian never allocates.
struct GuardianDuties {
  std::vector<Restore> bounds;  // written in this order if the session had changed any
  std::string marker;           // removed if it exists; "" if there will be none
  // The guardian moves to these groups, by writing "0" to these files where it can.
  std::vector<std::string> groups;
};

struct GuardianPage;  // shared with the process; in guardian_page.h

// Owned by the Freezer and as long-lived. The conductor's thread starts and ends the process. Each
// worker reports the state of its own filesystem.
class Guardian {
 public:
  explicit Guardian(std::size_t filesystems);  // maps the page; throws SystemError
  ~Guardian();
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;

  // Starts the process, and returns when it stands guard. The conductor calls it, and the guardian
  // watches for the death of the calling thread. `settling` says that the deadline will be set
  // anew. Returns 0 or -errno.
  int start(linux::System& system, const std::vector<int>& descriptors,
            const GuardianDuties& duties, Time deadline, bool settling);
  bool started() const { return process_ > 0; }
  void set_deadline(Time deadline, bool settling);
  pid_t process() const { return process_; }
  bool alive() const;
  // Continues the process if somebody has stopped it.
  void continue_if_stopped() const;
  // Tells the guardian that all is thawed, so that it exits without touching anything. The
  // conductor calls it.
  void all_clear();
  // Waits for the end after the all-clear, and then kills the process, which is of no more use.
  void end_within(Duration time) const;
  void reap();  // waits for the exit; called only after end_within()

  // The state of filesystem `index`, reported by the thread that changes it.
  // Returns false when the guardian has begun to thaw and nothing may freeze any more.
  bool begin_freeze(std::size_t index);
  void set_frozen(std::size_t index);
  // Reports that the filesystem is thawed, or was not frozen after all. Returns true when the
  // guardian has thawed it.
  bool set_thawed(std::size_t index);
  void set_rcu(bool changed);
  void set_bounds(bool changed);

 private:
  int watch_this_thread();
  void await_ready() const;
  bool ends_within(Duration time) const;

  GuardianPage* page_ = nullptr;
  std::size_t page_size_ = 0;
  std::size_t count_ = 0;
  void* stacks_ = nullptr;
  pid_t process_ = 0;
};

}  // namespace vmtpy::freeze
