// The conductor of a freeze: the one thread that takes a run from its first open to its last thaw
// (conductor.cpp), and what the session asks of it from other threads (conductor_requests.cpp). It
// lives until its last thread has ended, which may be long after the session: a FIFREEZE that is
// stuck in the kernel cannot be called back. What changes is guarded by the freezer's mutex.
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

class Conductor : public std::enable_shared_from_this<Conductor> {
 public:
  Conductor(linux::System& system, Clock& clock, std::vector<plan::Filesystem> filesystems,
            FreezeOptions options);
  ~Conductor();

  // The owner's side.
  void stand_by();  // starts the conductor, which waits for start() or drop()
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

  // The conductor's side, in this order.
  bool await_start();  // false: it never will be
  void conduct();
  bool prepare();
  bool presync();  // presync.cpp
  bool protect();
  bool freeze();
  void hold();
  void thaw();
  void conclude();
  void finish_stuck_calls();

  struct Rounds;  // of syncfs
  enum class Judgement { GO_ON, FREEZE, END };
  bool write_back(Time deadline);
  Judgement judge(Rounds& rounds, Time began, Time deadline);
  Judgement judge_late(const Rounds& rounds);
  Judgement refuse();
  Duration expected_hold(const Rounds& rounds) const;
  bool is_ready(const Rounds& rounds) const;
  bool pace(Time deadline);
  bool restore_bounds();
  void publish_figures();

  // Guardian and marker, once. `settling`: the deadline is set anew later. False: it has ended.
  bool stand_guard(Time deadline, bool settling);
  bool await_resumed();
  int find_suspended();
  bool freeze_level(int level, MutexLock& lock) REQUIRES(freezer_->mutex);
  void wait_for_thaws(MutexLock& lock) REQUIRES(freezer_->mutex);
  // Nothing is frozen any more and rcu_expedited is back: marker, guardian, directories.
  void stand_down();
  void remove_marker();
  bool restore_rcu();
  bool restore_all();  // what was changed of the kernel's settings
  // The first reason counts. These are always false.
  bool end(EndReason reason, int index = -1, const char* call = "", int code = 0);
  bool end_as_asked();
  bool end_as_failed() REQUIRES(freezer_->mutex);  // by the call that failed first
  int find_busy(Task task) const REQUIRES(freezer_->mutex);
  void copy_progress(std::vector<Progress>& progress) const REQUIRES(freezer_->mutex);
  RunFacts facts();  // what is to be told of a run that is over
  Woken wait_for_tasks(MutexLock& lock, Time deadline) REQUIRES(freezer_->mutex);
  void set_phase(Phase phase) REQUIRES(freezer_->mutex);

  linux::System& system_;
  Clock& clock_;
  const FreezeOptions options_;
  const std::shared_ptr<Freezer> freezer_;
  std::vector<int> levels_;  // ascending
  RcuSwitch rcu_;
  Storage storage_;  // conductor only
  std::shared_ptr<StuckWriterScout> scout_;
  std::string marker_;                 // conductor only
  std::vector<std::string> warnings_;  // conductor only
  std::string replaced_;               // conductor only: what has happened to the planned mount
  std::string slow_;                   // conductor only: how a disk and its writers stand
  std::string suspended_;              // conductor only: the device that has been found so
  Time deadline_ = Time::max();        // conductor only
  bool guarded_ = false;               // conductor only: marker and guardian are there
  bool core_dumps_forbidden_ = false;  // conductor only
  RunEnd end_;                         // conductor only

  RunState state_ GUARDED_BY(freezer_->mutex);
  std::condition_variable phase_changed_;
  EventFd event_;
  // Never null; replaced as a whole.
  std::shared_ptr<const RunTexts> texts_ GUARDED_BY(freezer_->mutex);
  const std::shared_ptr<const RunTexts>
      no_memory_texts_;  // for when there is no memory to compose them
};

}  // namespace vmtpy::freeze
