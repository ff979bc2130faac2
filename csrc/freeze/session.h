// One freeze, from the open directories to the last thaw. A native thread, the conductor, does it
// all: open, pre-sync, marker, guardian, freeze level by level, wait, thaw in reverse. The owner
// only says release() or abort() and watches event_fd(); it may be slow, stuck or gone. Nothing is
// allocated, logged or written to a disk between the first FIFREEZE and the last FITHAW.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "freeze/run_record.h"
#include "linux/os.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

struct FreezeOptions {
  Duration limit = std::chrono::seconds(30);  // from the first FIFREEZE
  Duration filesystem_budget =
      std::chrono::seconds(2);                         // for one FIFREEZE; past it all is given up
  Duration presync_budget = std::chrono::seconds(60);  // for all rounds of syncfs
  bool expedite_rcu = true;                            // /sys/kernel/rcu_expedited while freezing
  bool guardian = true;                                // false only where nothing real is frozen
  std::string run_directory = "/run/vmtpy";            // where the marker is kept
  bool accept_frozen =
      false;  // take a filesystem that someone else has frozen, and leave it to them
  std::vector<plan::LeftOut>
      left_out{};  // what the plan left out although it is writable, for the record
};

enum class Phase { NEW, PREPARING, FREEZING, FROZEN, THAWING, ENDED };

class FreezeSession {
 public:
  // Starts the conductor, which waits for start().
  FreezeSession(linux::Os& os, Clock& clock, std::vector<plan::Filesystem> filesystems,
                FreezeOptions options = {});
  // Aborts, and waits until all is thawed; a FIFREEZE that is stuck in the kernel is left to its
  // own thread and the guardian, which thaw it when it returns.
  ~FreezeSession();
  FreezeSession(const FreezeSession&) = delete;
  FreezeSession& operator=(const FreezeSession&) = delete;

  // The caller's thread is free at once. Throws PlanError when there is nothing to freeze.
  void start();
  // Both may be called in any phase from any thread, more than once; the first one counts.
  void release();                         // the snapshot is taken: thaw
  void abort(const std::string& reason);  // give up: thaw what is frozen, freeze no more

  Phase phase() const;
  // An eventfd that becomes readable at every change of phase. Owned by the session.
  int event_fd() const;
  void clear_event();
  // Waits until `phase` or a later one is reached; false at the deadline, which is the owner's:
  // real time, whatever the session's clock is.
  bool wait_for(Phase phase, Time deadline);
  // Waits without a deadline until all is thawed; not at all where nothing was started.
  void wait_until_ended();
  // Complete when phase() is ENDED; until then a copy of what is known.
  RunRecord record() const;

 private:
  class State;  // shared with threads that may outlive the session
  std::shared_ptr<State> state_;
  pid_t process_;
};

}  // namespace vmtpy::freeze
