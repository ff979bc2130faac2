// One freeze, from the open directories to the last thaw. A native thread, the conductor, does it
// all: open, pre-sync, marker, guardian, freeze level by level, wait, thaw in reverse. The owner
// only says release() or abort() and watches event_fd(); it may be slow, stuck or gone. Nothing is
// allocated, logged or written to a disk between the first FIFREEZE and the last FITHAW.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "freeze/freeze_options.h"
#include "freeze/run_record.h"
#include "freeze/run_state.h"
#include "linux/system.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

class Conductor;

// Owned by Python and the agent together; any thread may use it.
class FreezeSession {
 public:
  // Starts the conductor, which waits for start().
  FreezeSession(linux::System& system, Clock& clock, std::vector<plan::Filesystem> filesystems,
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
  std::shared_ptr<Conductor> conductor_;  // its threads may outlive the session
  pid_t process_;
};

}  // namespace vmtpy::freeze
