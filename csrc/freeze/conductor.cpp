// The conductor's steps. Its thread never makes a call that could wait for a frozen filesystem (the
// workers do that), so it always reaches its next deadline. The guardian watches for its death.
#include "freeze/conductor.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>

#include "base/assertion.h"
#include "base/errors.h"
#include "freeze/dirty.h"
#include "freeze/marker.h"
#include "freeze/unsettled.h"
#include "linux/cgroups.h"
#include "linux/core_dump.h"

namespace vmtpy::freeze {

namespace {

using namespace std::chrono_literals;

constexpr Duration GUARDIAN_GRACE = 100ms;  // the guardian's deadline is later by this
// How often the conductor looks whether the guardian lives.
constexpr Duration GUARDIAN_LOOK = 50ms;
constexpr Duration GUARDIAN_EXIT = 50ms;    // how long the guardian's exit may delay the end
constexpr Duration LEVEL_PATIENCE = 250ms;  // after this the next level is thawed beside a slow one
// After this the session ends although a FITHAW still fails.
constexpr Duration THAW_PATIENCE = 5s;
constexpr Duration SCOUT_PATIENCE = 300ms;
// The pause between two attempts to put the kernel's settings back.
constexpr Duration RCU_PAUSE = 1s;

}  // namespace

void Conductor::conduct() {
  try {
    if (prepare() && presync() && protect() && freeze()) hold();
    // This comes before the first freeze, since nothing is allocated after that.
  } catch (const std::bad_alloc&) {
    end(EndReason::CALL, -1, "malloc", ENOMEM);
  }
  thaw();
  conclude();
  finish_stuck_calls();
}

bool Conductor::protect() {
  if (!await_resumed()) return false;
  {
    const auto dirty = dirty_pages(system_);
    MutexLock lock(freezer_->mutex);
    if (dirty) state_.times.dirty_left = dirty->bytes();
  }
  deadline_ = clock_.now() + options_.timeout;
  if (!stand_guard(deadline_ + GUARDIAN_GRACE, false)) return false;
  // Somebody else may have set the switch since the marker was written.
  if (rcu_.wanted() && rcu_.look()) {
    // The guardian hears of it first: a setting may be put back once too often, but never too
    // rarely.
    freezer_->guardian().set_rcu(true);
    const bool used = rcu_.set();
    if (!used) freezer_->guardian().set_rcu(false);
    MutexLock lock(freezer_->mutex);
    state_.rcu_used = used;
  }
  return true;
}

// Starts the guardian before the marker is written and the kernel is changed. If the session dies
// between two of these steps, the guardian takes back what the others have done.
bool Conductor::stand_guard(Time deadline, bool settling) {
  if (guarded_) {
    freezer_->guardian().set_deadline(deadline, settling);
    return has_guardian();
  }
  if (options_.expedite_rcu) rcu_.look();
  const std::vector<Restore> bounds = storage_.restores();
  PreparedMarker marker;
  int error = prepare_marker(system_, options_.run_directory, freezer_->filesystems(),
                             rcu_.wanted() ? RcuSwitch::OFF : "", bounds, marker);
  if (options_.guardian) {
    const GuardianDuties duties = {bounds, marker.path, linux::root_groups(system_)};
    const int failed =
        freezer_->guardian().start(system_, freezer_->descriptors(), duties, deadline, settling);
    const char* call = failed == -ETIMEDOUT ? "start the guardian" : "fork";
    if (failed < 0) return end(EndReason::CALL, -1, call, -failed);
    linux::forbid_core_dumps();
    core_dumps_forbidden_ = true;
  }
  if (error == 0) error = write_marker(system_, options_.run_directory, marker);
  if (error == 0) {
    marker_.swap(marker.path);
  } else {
    const SystemError why("write", options_.run_directory, -error);
    warnings_.push_back(std::string("there is no marker for `vmtpy thaw`: ") + why.what());
  }
  guarded_ = true;
  return true;
}

// Without a guardian a death of this process would leave bounds behind, or filesystems frozen, so
// the run is given up.
bool Conductor::has_guardian() {
  const Guardian& guardian = freezer_->guardian();
  if (!guardian.started()) return true;
  guardian.continue_if_stopped();
  return guardian.alive() || end(EndReason::GUARDIAN_DIED);
}

bool Conductor::freeze() {
  // Each process that dies from here on leaves another that thaws, and the marker has been tried.
  VMTPY_ASSERT(guarded_ && freezer_->guardian().started() == options_.guardian);
  VMTPY_ASSERT(deadline_ != Time::max() && end_.reason == EndReason::NONE);
  // FIFREEZE waits for whoever is inside a write, and a writer that is paced there takes its time.
  // Other levels' writers would run free while the first is frozen.
  if (levels_.size() == 1) restore_bounds();
  MutexLock lock(freezer_->mutex);
  if (state_.asked != Asked::NOTHING) return end_as_asked();
  set_phase(Phase::FREEZING);
  state_.times.first_freeze = clock_.now();
  for (auto level = levels_.begin(); level != levels_.end(); ++level) {
    VMTPY_ASSERT(level == levels_.begin() || *std::prev(level) < *level);
    VMTPY_ASSERT(freezer_->settled(*level) && freezer_->running() == 0);
    if (!freeze_level(*level, lock)) return false;
  }
  VMTPY_ASSERT(freezer_->running() == 0 && freezer_->failed() < 0);
  state_.times.all_frozen = clock_.now();
  set_phase(Phase::FROZEN);
  return true;
}

bool Conductor::freeze_level(int level, MutexLock& lock) {
  const Time budget = clock_.now() + options_.filesystem_timeout;
  freezer_->begin(Task::FREEZE, level);
  const Woken woken = wait_for_tasks(lock, std::min(budget, deadline_));
  // After a stop of this process the guardian has perhaps thawed, and then it lets nothing freeze
  // any more.
  if (clock_.now() >= deadline_) return end(EndReason::EXPIRED);
  if (woken != Woken::DEADLINE) return woken == Woken::DONE || end_as(woken);
  return end(EndReason::TIMEOUT, find_busy(Task::FREEZE));
}

void Conductor::hold() {
  restore_all();
  MutexLock lock(freezer_->mutex);
  for (;;) {
    const Time now = clock_.now();
    // The time is compared first: after a stop of this process the guardian has perhaps acted upon
    // the limit.
    if (now >= deadline_) {
      end(EndReason::EXPIRED);
    } else if (state_.asked == Asked::RELEASE) {
      end(EndReason::RELEASED);
    } else if (state_.asked == Asked::ABORT) {
      end(EndReason::ABORTED);
    } else {
      has_guardian();
    }
    if (end_.reason != EndReason::NONE) return;
    const Time look = options_.guardian ? now + GUARDIAN_LOOK : Time::max();
    clock_.wait_until(lock, freezer_->changed, std::min(deadline_, look));
  }
}

void Conductor::thaw() {
  // A FIFREEZE that is under way waits for whoever is paced inside a write.
  restore_bounds();
  MutexLock lock(freezer_->mutex);
  state_.times.release_asked = clock_.now();
  set_phase(Phase::THAWING);
  freezer_->give_up();
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
    freezer_->begin(Task::THAW, *level);
    const Time next = clock_.now() + LEVEL_PATIENCE;
    while (!freezer_->settled(*level) && clock_.now() < next) {
      clock_.wait_until(lock, freezer_->changed, next);
    }
  }
  wait_for_thaws(lock);
  state_.times.all_thawed = clock_.now();
}

// Waits until all is thawed, within bounds. A FIFREEZE that is still under way has its budget, and
// a FITHAW that fails is retried for a while.
void Conductor::wait_for_thaws(MutexLock& lock) {
  const Time began = clock_.now();
  while (!freezer_->settled()) {
    Time until = began;
    for (std::size_t index = 0; index < freezer_->size(); ++index) {
      const Progress& progress = freezer_->progress(index);
      if (progress.frozen) until = std::max(until, began + THAW_PATIENCE);
      if (progress.task == Task::FREEZE) {
        until = std::max(until, progress.freeze_began + options_.filesystem_timeout);
      }
    }
    if (clock_.now() >= until) return;
    clock_.wait_until(lock, freezer_->changed, until);
  }
}

void Conductor::conclude() {
  restore_all();
  bool settled = false;
  {
    MutexLock lock(freezer_->mutex);
    settled = freezer_->settled();
  }
  if (!settled) {
    unsettled_ = true;
    run_is_unsettled(clock_.now());
  }
  if (settled && !rcu_.changed() && !storage_.changed()) {
    stand_down();
  } else if (end_.reason == EndReason::TIMEOUT) {
    scout_->look(SCOUT_PATIENCE);
  }
  std::shared_ptr<const RunTexts> texts = no_memory_texts_;
  try {
    texts = std::make_shared<const RunTexts>(compose_texts(facts()));
  } catch (const std::bad_alloc&) {
  }
  MutexLock lock(freezer_->mutex);
  texts_ = std::move(texts);
  set_phase(Phase::ENDED);
}

// Waits for calls that are stuck in the kernel, for however long. The owner has heard the end by
// then.
void Conductor::finish_stuck_calls() {
  {
    MutexLock lock(freezer_->mutex);
    while (!freezer_->settled()) freezer_->changed.wait(lock);
    if (unsettled_) run_is_settled();
    while (!restore_all()) {
      clock_.wait_until(lock, freezer_->changed, clock_.now() + RCU_PAUSE);
    }
  }
  stand_down();
  scout_->quit();
  if (freezer_->guardian().started()) freezer_->guardian().reap();
  MutexLock lock(freezer_->mutex);
  while (freezer_->running() > 0) freezer_->changed.wait(lock);
  lock.unlock();
  freezer_->close_idle();
  lock.lock();
  freezer_->begin(Task::QUIT, -1);
}

void Conductor::stand_down() {
  VMTPY_ASSERT(!rcu_.changed() && !storage_.changed());
  {
    MutexLock lock(freezer_->mutex);
    VMTPY_ASSERT(freezer_->settled());  // nothing is frozen, and nothing will be
    VMTPY_ASSERT(state_.phase >= Phase::THAWING);
  }
  remove_marker();  // while the guardian still stands guard
  Guardian& guardian = freezer_->guardian();
  if (guardian.started()) guardian.all_clear();
  if (core_dumps_forbidden_) linux::allow_core_dumps();
  core_dumps_forbidden_ = false;
  freezer_->close_idle();
  if (guardian.started()) guardian.end_within(GUARDIAN_EXIT);
}

void Conductor::remove_marker() {
  if (marker_.empty()) return;
  const int error = system_.remove_file(marker_);
  if (error < 0 && error != -ENOENT) {
    try {
      warnings_.push_back(SystemError("unlink", marker_, -error).what());
    } catch (const std::bad_alloc&) {
    }
  }
  marker_.clear();
}

bool Conductor::restore_rcu() {
  if (!rcu_.restore()) return false;
  freezer_->guardian().set_rcu(false);
  return true;
}

bool Conductor::restore_all() {
  const bool bounds = restore_bounds();
  return restore_rcu() && bounds;
}

bool Conductor::end(EndReason reason, int index, const char* call, int code) {
  VMTPY_ASSERT(reason != EndReason::NONE);
  if (end_.reason != EndReason::NONE) return false;
  end_ = {reason, index, call, code};
  return false;
}

bool Conductor::end_as_failed() {
  const int index = freezer_->failed();
  VMTPY_ASSERT(index >= 0);
  const Progress& progress = freezer_->progress(static_cast<std::size_t>(index));
  return end(EndReason::CALL, index, progress.call, progress.error);
}

bool Conductor::end_as_asked() {
  return end(EndReason::ABORTED);
}

bool Conductor::end_as(Woken woken) {
  return woken == Woken::ASKED ? end_as_asked() : end_as_failed();
}

int Conductor::find_busy(Task task) const {
  for (std::size_t index = 0; index < freezer_->size(); ++index) {
    if (freezer_->progress(index).task == task) return static_cast<int>(index);
  }
  return -1;
}

Conductor::Woken Conductor::wait_for_tasks(MutexLock& lock, Time deadline) {
  for (;;) {
    if (state_.asked != Asked::NOTHING) return Woken::ASKED;
    if (freezer_->failed() >= 0) return Woken::FAILED;
    if (freezer_->running() == 0) return Woken::DONE;
    if (clock_.now() >= deadline) return Woken::DEADLINE;
    clock_.wait_until(lock, freezer_->changed, deadline);
  }
}

void Conductor::set_phase(Phase phase) {
  VMTPY_ASSERT(phase > state_.phase);
  state_.phase = phase;
  event_.raise();
  phase_changed_.notify_all();
}

}  // namespace vmtpy::freeze
