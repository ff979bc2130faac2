// The guardian: a child process that holds the same directories and thaws them when the session
// cannot, because its process died or because the limit passed while it was stopped or stuck.
//
// It learns of a death from a robust futex, not from a pipe: the kernel marks the futex when the
// conductor's thread dies, before the memory of its process is freed (75 ms for 1 GiB) and although
// a sibling thread is stuck in FIFREEZE (which keeps every descriptor of the process open).
//
// A page shared by both tells what each filesystem is in. Each change is one atomic operation, so
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

// What else the guardian puts back when all is thawed. Prepared before the fork: it never
// allocates.
struct GuardianDuties {
  std::string rcu_path;  // written with rcu_value if the session had changed it
  std::string rcu_value;
  std::vector<Restore> bounds;      // written in this order if the session had changed any
  std::string marker;               // removed if it is there; "" if there will be none
  std::vector<std::string> groups;  // it moves to, by writing "0" to these files where it can
};

struct GuardianPage;  // shared with the process, of guardian_page.h

class Guardian {
 public:
  explicit Guardian(std::size_t filesystems);  // maps the page; throws SystemError
  ~Guardian();
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;

  // Starts the process; returns when it stands guard. Called by the conductor, whose death it
  // watches from then on. `settling`: the deadline will be set anew. 0 or -errno.
  int start(linux::System& system, const std::vector<int>& descriptors,
            const GuardianDuties& duties, Time deadline, bool settling);
  bool started() const { return process_ > 0; }
  void set_deadline(Time deadline, bool settling);
  pid_t process() const { return process_; }
  bool alive() const;
  void continue_if_stopped() const;  // if somebody has stopped it
  // All is thawed: it exits without touching anything. Called by the conductor.
  void all_clear();
  void end_within(Duration time) const;  // after the all-clear: killed then, it is of no more use
  void reap();                           // waits until it has exited; only after end_within()

  // What filesystem `index` is in, told by the thread that does it.
  bool begin_freeze(std::size_t index);  // false: the guardian has begun to thaw, freeze no more
  void set_frozen(std::size_t index);
  bool set_thawed(std::size_t index);  // or not frozen after all; true: the guardian has thawed it
  void set_rcu(bool changed);
  void set_bounds(bool changed);

 private:
  bool has_ended() const;
  bool ends_within(Duration time) const;

  GuardianPage* page_ = nullptr;
  std::size_t page_size_ = 0;
  std::size_t count_ = 0;
  void* stacks_ = nullptr;
  pid_t process_ = 0;
};

}  // namespace vmtpy::freeze
