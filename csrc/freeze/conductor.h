// The conductor of a freeze: the thread that takes a run from its first open to its last thaw
// (conductor.cpp, prepare.cpp, presync.cpp), and what the session asks of it from other threads
// (conductor_requests.cpp). It serves FreezeSession, and relies on Freezer, Guardian, Storage and
// RcuSwitch.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_safety.h"
#include "base/unique_fd.h"
#include "freeze/freezer.h"
#include "freeze/rcu.h"
#include "freeze/run_report.h"
#include "freeze/run_state.h"
#include "freeze/storage.h"
#include "freeze/stuck_writers.h"

namespace vmtpy::freeze {

// Owned by the session and by its own threads together, so it lives until its last thread has
// ended. That may be long after the session, because a FIFREEZE that is stuck in the kernel cannot
// be called back. Members that other threads see are guarded by the freezer's mutex.
class Conductor : public std::enable_shared_from_this<Conductor> {
 public:
  Conductor(linux::System& system, Clock& clock, std::vector<plan::Filesystem> filesystems,
            FreezeOptions options);
  ~Conductor();

  // The functions for the session's owner.
  void stand_by();  // starts the thread, which waits for start() or drop()
  void drop();
  void start();
  void release();
  void abort(const std::string& reason);
  Phase phase();
  bool wait_for(Phase phase, Time deadline);
  void wait_until_ended();
  RunRecord record();
  const EventFd& event() const { return event_; }

 private:
  enum class Woken { DONE, FAILED, ASKED, DEADLINE };

  // The conductor's own steps, in this order.
  bool await_start();  // returns false if it is dropped first
  void conduct();
  bool prepare();  // prepare.cpp
  bool open();
  bool presync();  // presync.cpp
  bool protect();
  bool freeze();
  void hold();
  void thaw();
  void conclude();
  void finish_stuck_calls();

  struct Rounds;  // the rounds of syncfs
  enum class Judgement { GO_ON, FREEZE, END };
  bool write_back(Time deadline);
  void end_round(Rounds& rounds);
  Judgement judge(Rounds& rounds, Time began, Time deadline);
  Judgement judge_late(const Rounds& rounds);
  Judgement refuse();
  Duration expected_hold(const Rounds& rounds) const;
  Duration told_by_syncfs(const Rounds& rounds) const;
  bool is_ready(const Rounds& rounds) const;
  bool pace(Time deadline);
  bool restore_bounds();
  void publish_figures();

  // Starts the guardian and writes the marker, once. `settling` says that the deadline is set anew
  // later. Returns false when the run has ended.
  bool stand_guard(Time deadline, bool settling);
  bool has_guardian();  // false when it has died, which ends the run
  bool await_resumed();
  int find_suspended();
  bool freeze_level(int level, MutexLock& lock) REQUIRES(freezer_->mutex);
  void wait_for_thaws(MutexLock& lock) REQUIRES(freezer_->mutex);
  // Called when nothing is frozen and the kernel's settings are back. Removes the marker, the
  // guardian and the open directories.
  void stand_down();
  void remove_marker();
  bool restore_rcu();
  bool restore_all();  // puts back the kernel's settings
  // The first reason counts. These functions always return false.
  bool end(EndReason reason, int index = -1, const char* call = "", int code = 0);
  bool end_as_asked();
  // Ends with the call that failed first.
  bool end_as_failed() REQUIRES(freezer_->mutex);
  bool end_as(Woken woken) REQUIRES(freezer_->mutex);  // for ASKED and FAILED
  int find_busy(Task task) const REQUIRES(freezer_->mutex);
  void copy_progress(std::vector<Progress>& progress) const REQUIRES(freezer_->mutex);
  RunFacts facts();  // collects what is known of a run that is over
  Woken wait_for_tasks(MutexLock& lock, Time deadline) REQUIRES(freezer_->mutex);
  void set_phase(Phase phase) REQUIRES(freezer_->mutex);

  linux::System& system_;
  Clock& clock_;
  const FreezeOptions options_;
  const std::shared_ptr<Freezer> freezer_;
  std::vector<int> levels_;  // in ascending order
  RcuSwitch rcu_;
  Storage storage_;  // only the conductor's thread uses it
  std::shared_ptr<StuckWriterScout> scout_;
  // Only the conductor's thread uses these.
  std::string marker_;
  std::vector<std::string> warnings_;
  std::string replaced_;         // what has happened to the planned mount
  std::string slow_;             // how a slow disk and its writers stand
  std::string parent_;           // what a filesystem that cannot be opened is mounted on
  std::string suspended_;        // the device that was found suspended
  Time deadline_ = Time::max();  // when the limit passes
  bool guarded_ = false;         // marker and guardian are there
  bool unsettled_ = false;       // something may still be frozen at the end
  bool core_dumps_forbidden_ = false;
  RunEnd end_;

  RunState state_ GUARDED_BY(freezer_->mutex);
  std::condition_variable phase_changed_;
  EventFd event_;
  // The texts are never null, and are replaced as a whole.
  std::shared_ptr<const RunTexts> texts_ GUARDED_BY(freezer_->mutex);
  // These texts are used when there is no memory to compose others.
  const std::shared_ptr<const RunTexts> no_memory_texts_;
};

}  // namespace vmtpy::freeze
