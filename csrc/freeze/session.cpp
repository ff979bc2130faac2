// The owner's side of a freeze session: start, release, abort, watch, and the record.
#include "freeze/session.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "base/errors.h"
#include "freeze/session_state.h"
#include "linux/threads.h"

namespace vmtpy::freeze {

FreezeSession::State::State(linux::Os& os, Clock& clock, std::vector<plan::Filesystem> filesystems,
                            FreezeOptions options)
    : os_(os),
      clock_(clock),
      options_(std::move(options)),
      freezer_(
          std::make_shared<Freezer>(os, clock, std::move(filesystems), options_.accept_frozen)),
      rcu_(os),
      scout_(std::make_shared<HolderScout>(freezer_->filesystems())),
      texts_(std::make_shared<Texts>()),
      speechless_(std::make_shared<Texts>(
          Texts{Outcome::FAILED, "malloc: Cannot allocate memory", "", ENOMEM, {}})) {
  std::set<int> levels;
  for (const plan::Filesystem& filesystem : freezer_->filesystems())
    levels.insert(filesystem.level);
  levels_.assign(levels.begin(), levels.end());
}

FreezeSession::State::~State() = default;

// The conductor has its rights from the thread that makes the session, which may have more of them
// than the one that starts it.
void FreezeSession::State::stand_by() {
  auto self = shared_from_this();
  const int error = linux::start_thread("vmtpy-freeze", linux::Role::CONDUCTOR, [self] {
    if (self->await_start()) self->conduct();
  });
  if (error) throw SystemError("pthread_create", "", error);
}

bool FreezeSession::State::await_start() {
  std::unique_lock lock(freezer_->mutex);
  freezer_->changed.wait(lock, [this] { return phase_ != Phase::NEW || dropped_; });
  return phase_ != Phase::NEW;
}

void FreezeSession::State::drop() {
  std::lock_guard guard(freezer_->mutex);
  dropped_ = true;
  freezer_->changed.notify_all();
}

void FreezeSession::State::start() {
  const std::vector<plan::Filesystem>& all = freezer_->filesystems();
  if (std::all_of(all.begin(), all.end(),
                  [](const plan::Filesystem& one) { return one.sync_only; })) {
    throw PlanError("there is no filesystem to freeze");
  }
  std::lock_guard guard(freezer_->mutex);
  if (phase_ != Phase::NEW) throw Error("a freeze session starts only once");
  times_.started = clock_.now();
  times_.started_unix_ns =
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  set_phase(Phase::PREPARING);
  freezer_->changed.notify_all();
}

void FreezeSession::State::release() {
  std::lock_guard guard(freezer_->mutex);
  if (asked_ == Asked::NOTHING) asked_ = Asked::RELEASE;
  freezer_->changed.notify_all();
}

void FreezeSession::State::abort(const std::string& reason) {
  std::string text = reason;  // allocated before the lock is taken
  std::lock_guard guard(freezer_->mutex);
  if (asked_ != Asked::NOTHING) return;
  asked_ = Asked::ABORT;
  abort_reason_.swap(text);
  freezer_->changed.notify_all();
}

Phase FreezeSession::State::phase() {
  std::lock_guard guard(freezer_->mutex);
  return phase_;
}

bool FreezeSession::State::wait_for(Phase phase, Time deadline) {
  std::unique_lock lock(freezer_->mutex);
  return phase_changed_.wait_until(lock, deadline, [&] { return phase_ >= phase; });
}

void FreezeSession::State::wait_until_ended() {
  std::unique_lock lock(freezer_->mutex);
  if (phase_ == Phase::NEW) return;
  phase_changed_.wait(lock, [this] { return phase_ == Phase::ENDED; });
}

// Whoever asks may be slow: under the lock plain data is copied, into memory that is there already.
RunRecord FreezeSession::State::record() {
  std::vector<Progress> progress(freezer_->size());
  Times times;
  std::shared_ptr<const Texts> texts;
  bool rcu_used;
  {
    std::lock_guard guard(freezer_->mutex);
    for (std::size_t index = 0; index < progress.size(); ++index) {
      progress[index] = freezer_->progress(index);
    }
    times = times_;
    texts = texts_;
    rcu_used = rcu_used_;
  }
  RunRecord record;
  record.outcome = texts->outcome;
  record.error = texts->error;
  record.code = texts->code;
  record.path = texts->path;
  record.warnings = texts->warnings;
  record.started_unix_ns = times.started_unix_ns;
  record.started = times.started;
  record.presynced = times.presynced;
  record.first_freeze = times.first_freeze;
  record.all_frozen = times.all_frozen;
  record.release_asked = times.release_asked;
  record.all_thawed = times.all_thawed;
  record.limit = options_.limit;
  record.left_out = options_.left_out;
  record.rcu_expedited = rcu_used;
  record.dirty_before = times.dirty_before;
  record.dirty_left = times.dirty_left;
  for (std::size_t index = 0; index < progress.size(); ++index) {
    record.filesystems.push_back(describe(index, progress[index], times));
  }
  return record;
}

FreezeSession::FreezeSession(linux::Os& os, Clock& clock, std::vector<plan::Filesystem> filesystems,
                             FreezeOptions options)
    : state_(std::make_shared<State>(os, clock, std::move(filesystems), std::move(options))),
      process_(getpid()) {
  state_->stand_by();
}

FreezeSession::~FreezeSession() {
  if (getpid() != process_) return;  // a fork of the owner: the threads are not here
  state_->drop();
  state_->abort("the session was dropped");
  state_->wait_until_ended();
}

void FreezeSession::start() {
  state_->start();
}
void FreezeSession::release() {
  state_->release();
}
void FreezeSession::abort(const std::string& reason) {
  state_->abort(reason);
}
Phase FreezeSession::phase() const {
  return state_->phase();
}
int FreezeSession::event_fd() const {
  return state_->event().get();
}
bool FreezeSession::wait_for(Phase phase, Time deadline) {
  return state_->wait_for(phase, deadline);
}
void FreezeSession::wait_until_ended() {
  state_->wait_until_ended();
}
RunRecord FreezeSession::record() const {
  return state_->record();
}

void FreezeSession::clear_event() {
  state_->event().drain();
}

}  // namespace vmtpy::freeze
