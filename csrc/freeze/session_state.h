// What a freeze session shares between its owner (session.cpp) and its conductor (conductor.cpp).
// Everything that changes is guarded by the freezer's mutex. Between the first FIFREEZE and the
// last FITHAW the conductor only sets plain data; texts are composed when all is over.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "freeze/freezer.h"
#include "freeze/rcu.h"
#include "freeze/session.h"
#include "freeze/stuck_writers.h"

namespace vmtpy::freeze {

class FreezeSession::State : public std::enable_shared_from_this<FreezeSession::State> {
 public:
  State(linux::Os& os, Clock& clock, std::vector<plan::Filesystem> filesystems,
        FreezeOptions options);
  ~State();

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
  enum class Asked { NOTHING, RELEASE, ABORT };
  // Why it ends. The first reason stays.
  enum class Reason {
    NONE,
    RELEASED,
    ABORTED,
    EXPIRED,
    CALL,            // `call` on filesystem `index` failed with `code`
    BUDGET,          // filesystem `index` did not freeze in time
    PRESYNC_BUDGET,  // or did not get synced in time
    GUARDIAN_DIED,
    REPLACED,   // another filesystem lies where `index` was planned
    SUSPENDED,  // a device below filesystem `index` is, by device-mapper
  };
  struct End {
    Reason reason = Reason::NONE;
    int index = -1;
    const char* call = "";
    int code = 0;
  };
  struct Times {
    std::int64_t started_unix_ns = 0;
    Time started{}, presynced{}, first_freeze{}, all_frozen{}, release_asked{}, all_thawed{};
    std::optional<std::int64_t> dirty_before, dirty_left;
  };
  struct Texts {
    Outcome outcome = Outcome::NONE;
    std::string error;
    std::string path;
    int code = 0;
    std::vector<std::string> warnings;
  };
  enum class Woken { DONE, FAILED, ASKED, DEADLINE };

  // The conductor's side, in this order.
  bool await_start();  // false: it never will be
  void conduct();
  bool prepare();
  bool presync();
  bool protect();
  bool freeze();
  void hold();
  void thaw();
  void conclude();
  void linger();

  bool await_resumed();
  int find_suspended();
  bool freeze_level(int level, std::unique_lock<std::mutex>& lock);
  void wait_for_thaws(std::unique_lock<std::mutex>& lock);
  // Nothing is frozen any more and rcu_expedited is back: marker, guardian, directories.
  void stand_down();
  void remove_marker();
  bool restore_rcu();
  bool end(Reason reason, int index = -1, const char* call = "", int code = 0);  // always false
  bool end_as_asked();
  int find_busy(Task task) const;
  Woken wait_for_tasks(std::unique_lock<std::mutex>& lock, Time deadline);
  void set_phase(Phase phase);

  // record.cpp
  Texts compose();
  void judge_thaws(const std::vector<Progress>& progress, Texts& texts) const;
  std::string describe_failure(const std::string& path, const Progress& progress) const;
  Duration waited(const Progress& progress) const;
  static std::string describe(const Holder& holder);
  FilesystemRun describe(std::size_t index, const Progress& progress, const Times& times) const;

  linux::Os& os_;
  Clock& clock_;
  const FreezeOptions options_;
  const std::shared_ptr<Freezer> freezer_;
  std::vector<int> levels_;  // ascending
  RcuSwitch rcu_;
  std::shared_ptr<HolderScout> scout_;
  std::string marker_;                 // conductor only
  std::vector<std::string> warnings_;  // conductor only
  std::string replaced_;               // conductor only: what has happened to the planned mount
  std::string suspended_;              // conductor only: the device that has been found so
  Time deadline_ = Time::max();        // conductor only
  bool core_dumps_forbidden_ = false;  // conductor only
  bool rcu_used_ = false;

  Phase phase_ = Phase::NEW;
  bool dropped_ = false;
  std::condition_variable phase_changed_;
  EventFd event_;
  Asked asked_ = Asked::NOTHING;
  std::string abort_reason_;
  End end_;
  Times times_;
  std::shared_ptr<const Texts> texts_;             // never null; replaced as a whole
  const std::shared_ptr<const Texts> speechless_;  // for when there is no memory to compose them
};

}  // namespace vmtpy::freeze
