// One freeze, from the open directories to the last thaw. It serves the agent and `vmtpy.freeze`. A
// native thread, the conductor, does all the work: open, pre-sync, marker, guardian, freeze level
// by level, wait, thaw in reverse. Nothing is allocated, logged or written to a disk between the
// first FIFREEZE and the last FITHAW.
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

// Owned by Python and the agent together, and used by any thread. The owner only calls release() or
// abort() and watches event_fd(); it may be slow, stuck or gone.
class FreezeSession {
 public:
  // Starts the conductor, which waits for start().
  FreezeSession(linux::System& system, Clock& clock, std::vector<plan::Filesystem> filesystems,
                FreezeOptions options = {});
  // Aborts, and waits until all is thawed. A FIFREEZE that is stuck in the kernel is left to its
  // own thread and the guardian, which thaw the filesystem when the call returns.
  ~FreezeSession();
  FreezeSession(const FreezeSession&) = delete;
  FreezeSession& operator=(const FreezeSession&) = delete;

  // Starts the run and returns at once. Throws PlanError when there is nothing to freeze.
  void start();
  // Both may be called in any phase, from any thread and more than once. The first call counts.
  void release();                         // the snapshot is taken, so thaw
  void abort(const std::string& reason);  // give up: thaw what is frozen and freeze nothing more

  Phase phase() const;
  // An eventfd that becomes readable at every change of phase. The session owns it.
  int event_fd() const;
  void clear_event();
  // Waits until `phase` or a later one is reached. Returns false at the deadline, which is in the
  // owner's real time whatever the session's clock is.
  bool wait_for(Phase phase, Time deadline);
  // Waits without a deadline until all is thawed. Returns at once where nothing was started.
  void wait_until_ended();
  // Returns the record, which is complete when phase() is ENDED. Until then it holds what is known.
  RunRecord record() const;

 private:
  std::shared_ptr<Conductor> conductor_;  // its threads may outlive the session
  pid_t process_;
};

}  // namespace vmtpy::freeze
