// The table of the backup machine, and the actions of its edges. backup_python.cpp has the part
// about a silent Python.
#include "agent/backup.h"

#include <algorithm>
#include <utility>

#include "base/assertion.h"
#include "base/errors.h"

namespace vmtpy::agent {

namespace {

using S = BackupState;
using E = BackupEvent;

// These are open-vm-tools' own words, which hosts and people know.
constexpr const char* OK = "OK ";
constexpr const char* BUSY = "ERROR Quiesce operation already in progress.";
constexpr const char* NONE = "ERROR Error: no quiesce operation in progress";
constexpr const char* UNEXPECTED = "ERROR Error: unexpected state for quiesce done message.";
constexpr const char* NO_COMPLETE = "ERROR Error: no quiesce complete in progress";
constexpr const char* START_UNHEARD = "ERROR Error when sending the start event.";
// The only command whose reply comes later.
constexpr HostConversation::Debt SNAPSHOT_DONE = {HostCommand::Answerer::BACKUP};

}  // namespace

const Backup::Edge* Backup::edge(BackupState from, BackupEvent event) {
  static constexpr Edge TABLE[] = {
      {S::IDLE, E::START, S::PREPARING, &Backup::begin},

      {S::PREPARING, E::ARMED, S::FREEZING, &Backup::freeze},
      {S::PREPARING, E::SKIPPED, S::UNFROZEN, &Backup::commit},
      {S::PREPARING, E::REFUSED, S::FINISHING, &Backup::report_refusal},
      {S::PREPARING, E::ABORT, S::CANCELLED, &Backup::cancel},
      {S::PREPARING, E::STOP, S::CANCELLED, &Backup::cancel},
      {S::PREPARING, E::HOST_GONE, S::CANCELLED, &Backup::cancel},
      {S::PREPARING, E::LATE, S::CANCELLED, &Backup::cancel},

      {S::CANCELLED, E::ARMED, S::FINISHING, &Backup::give_up},
      {S::CANCELLED, E::SKIPPED, S::FINISHING, &Backup::give_up},
      {S::CANCELLED, E::REFUSED, S::FINISHING, &Backup::give_up},
      {S::CANCELLED, E::LATE, S::FINISHING, &Backup::give_up},
      {S::CANCELLED, E::ABORT, S::CANCELLED, &Backup::nothing},

      {S::FREEZING, E::FROZE, S::FROZEN, &Backup::commit},
      {S::FREEZING, E::ENDED, S::FINISHING, &Backup::report},
      {S::FREEZING, E::ABORT, S::ABORTING, &Backup::abort_session},
      {S::FREEZING, E::STOP, S::ABORTING, &Backup::abort_session},
      {S::FREEZING, E::HOST_GONE, S::ABORTING, &Backup::abort_session},
      {S::FREEZING, E::LATE, S::ABORTING, &Backup::abort_session},

      {S::FROZEN, E::SNAPSHOT_DONE, S::THAWING, &Backup::release},
      {S::FROZEN, E::ENDED, S::FINISHING, &Backup::report},
      {S::FROZEN, E::ABORT, S::ABORTING, &Backup::abort_session},
      {S::FROZEN, E::STOP, S::ABORTING, &Backup::abort_session},
      {S::FROZEN, E::HOST_GONE, S::ABORTING, &Backup::abort_session},
      {S::FROZEN, E::LATE, S::ABORTING, &Backup::abort_session},

      {S::UNFROZEN, E::SNAPSHOT_DONE, S::FINISHING, &Backup::confirm_unfrozen},
      {S::UNFROZEN, E::ABORT, S::FINISHING, &Backup::give_up},
      {S::UNFROZEN, E::STOP, S::FINISHING, &Backup::give_up},
      {S::UNFROZEN, E::HOST_GONE, S::FINISHING, &Backup::give_up},
      {S::UNFROZEN, E::LATE, S::FINISHING, &Backup::give_up},

      {S::THAWING, E::ENDED, S::FINISHING, &Backup::confirm},
      {S::THAWING, E::LATE, S::ABORTING, &Backup::give_up_waiting},

      {S::ABORTING, E::ENDED, S::FINISHING, &Backup::report},
      {S::ABORTING, E::ABORT, S::ABORTING, &Backup::nothing},

      {S::FINISHING, E::FINISHED, S::IDLE, &Backup::report_done},
      {S::FINISHING, E::LATE, S::IDLE, &Backup::report_done},
      {S::FINISHING, E::ABORT, S::FINISHING, &Backup::nothing},
  };
  for (const Edge& candidate : TABLE) {
    if (candidate.from == from && candidate.event == event) return &candidate;
  }
  return nullptr;
}

Backup::Backup(HostConversation& host, EventQueue& queue, Clock& clock, BackupOptions options)
    : host_(host), queue_(queue), clock_(clock), options_(options) {}

std::optional<std::string> Backup::command(std::string_view name, std::string_view arguments) {
  if (name == "vmbackup.start" || name == "vmbackup.startWithOpts") {
    if (state_ != S::IDLE) return BUSY;
    if (unanswered_) return "ERROR Error: " + stuck();
    const auto parse = name == "vmbackup.start" ? parse_start : parse_start_with_options;
    const std::string error = parse(arguments, request_);
    if (!error.empty()) return error;
    take(E::START);
    return state_ == S::IDLE ? START_UNHEARD : OK;
  }
  if (name == "vmbackup.snapshotDone") {
    if (state_ == S::IDLE || state_ == S::FINISHING) return NONE;
    if (!take(E::SNAPSHOT_DONE)) return UNEXPECTED;
    if (host_.owes(SNAPSHOT_DONE)) return std::nullopt;
    return OK;
  }
  if (name == "vmbackup.abort") {
    return take(E::ABORT, "aborted by the host") ? OK : NONE;
  }
  return NO_COMPLETE;  // vmbackup.snapshotCompleted
}

void Backup::arm(std::shared_ptr<freeze::FreezeSession> session) {
  unanswered_ = false;
  // Another session is under way, so this is a second answer.
  if (edge(state_, E::ARMED) == nullptr) return;
  session_ = std::move(session);
  seen_ = freeze::Phase::NEW;
  take(E::ARMED);
}

void Backup::skip(Duration timeout) {
  unanswered_ = false;
  if (state_ == S::PREPARING) deadline_ = std::min(deadline_, clock_.now() + timeout);
  take(E::SKIPPED);
}

void Backup::refuse(BackupCode code, std::string text) {
  unanswered_ = false;
  if (state_ == S::PREPARING) {
    refusal_ = code;
    reason_ = std::move(text);
  }
  take(E::REFUSED);
}

void Backup::finish(std::string manifest) {
  if (state_ == S::FINISHING) manifest_ = std::move(manifest);
  take(E::FINISHED);
}

void Backup::stop() {
  take(E::STOP, "the agent was told to stop");
}

void Backup::recover(const std::string& reason) {
  answer("ERROR Error: " + reason);
  if (session_) session_->abort(reason);
  if (session_ && state_ != S::FINISHING) {
    enter(S::ABORTING);
    if (reason_.empty()) reason_ = reason;
    return;
  }
  session_.reset();
  if (state_ == S::IDLE || state_ == S::PREPARING || state_ == S::CANCELLED) return;
  if (state_ == S::UNFROZEN) {
    take(E::LATE, reason);
    return;
  }
  enter(S::FINISHING);
  freeze::RunRecord record;
  record.outcome = freeze::Outcome::FAILED;
  record.error = reason;
  push_end(std::move(record));
}

void Backup::leave() {
  take(E::LATE);  // to CANCELLED, unless it is FINISHING already
  take(E::LATE);
}

Time Backup::step() {
  const Time now = clock_.now();
  watch_session();
  const bool unprepared = state_ == S::PREPARING || state_ == S::CANCELLED;
  if (unprepared && now - silent_since() >= options_.prepare_patience) give_up_on_python();
  if (state_ == S::THAWING && now - entered_ >= options_.thaw_patience) take(E::LATE);
  if (state_ == S::FINISHING && now - entered_ >= options_.finish_patience) take(E::LATE);
  if (now >= deadline_) pass_deadline();
  if (state_ == S::IDLE) return Time::max();
  keep_alive(now);
  Time next = last_event_ + options_.keep_alive;
  if (state_ == S::THAWING) next = std::min(next, entered_ + options_.thaw_patience);
  if (state_ == S::PREPARING || state_ == S::CANCELLED) {
    next = std::min(next, silent_since() + options_.prepare_patience);
  }
  next = std::min(next, deadline_);
  return next;
}

// Ends the backup at the host's limit. A thaw that has begun has a patience of its own and is not
// affected.
void Backup::pass_deadline() {
  deadline_ = Time::max();
  const bool over = state_ == S::THAWING || state_ == S::ABORTING || state_ == S::FINISHING;
  if (over || state_ == S::CANCELLED || edge(state_, E::LATE) == nullptr) return;
  take(E::LATE, "the backup was not done within its time limit");
}

int Backup::session_fd() const {
  return session_ ? session_->event_fd() : -1;
}

bool Backup::take(BackupEvent event) {
  const Edge* found = edge(state_, event);
  if (found == nullptr) return false;
  // Whoever sees IDLE may speak with the host, so the host must have heard the end of this backup
  // by then.
  if (found->to != S::IDLE) enter(found->to);
  try {
    (this->*found->action)();
  } catch (...) {
    if (found->to == S::IDLE) enter(S::IDLE);
    throw;
  }
  if (found->to == S::IDLE) enter(S::IDLE);
  return true;
}

// Takes an event with its reason. The first reason to give up stands: later ones change nothing
// while that is under way.
bool Backup::take(BackupEvent event, std::string reason) {
  const Edge* found = edge(state_, event);
  if (found == nullptr) return false;
  if (found->action != &Backup::nothing) reason_ = std::move(reason);
  return take(event);
}

void Backup::enter(BackupState state) {
  if (state_ != state) entered_ = clock_.now();
  state_ = state;
}

// Tells the host an event. Returns false when the host refused or could not be reached: it no
// longer waits for the guest then.
bool Backup::tell(std::string_view event, BackupCode code, std::string_view text) {
  last_event_ = clock_.now();
  const std::string request = "vmbackup.eventSet " + std::string(event) + " " +
                              std::to_string(static_cast<int>(code)) + " " + one_line(text);
  std::string why;
  try {
    const wire::RpciReply reply = host_.call(request);
    if (reply.ok) return true;
    why = "the host refused " + std::string(event) + ": " + one_line(reply.data);
  } catch (const Error& error) {
    why = "the host could not be told " + std::string(event) + ": " + error.what();
  }
  if (!std::exchange(host_gone_, true)) queue_.log(why, true);
  take(E::HOST_GONE, why);
  return false;
}

void Backup::answer(std::string reply) {
  host_.reply(SNAPSHOT_DONE, std::move(reply));
}

void Backup::keep_alive(Time now) {
  if (now - last_event_ >= options_.keep_alive) tell("req.keepAlive", BackupCode::SUCCESS, "");
}

void Backup::watch_session() {
  if (!session_) return;
  session_->clear_event();
  const freeze::Phase phase = session_->phase();
  if (phase == seen_) return;
  seen_ = phase;
  if (phase == freeze::Phase::FROZEN) take(E::FROZE);
  if (phase == freeze::Phase::ENDED) take(E::ENDED);
}

// --- actions -----------------------------------------------------------------------------------

void Backup::begin() {
  host_gone_ = false;
  deadline_ = request_.timeout > Duration::zero() ? clock_.now() + request_.timeout : Time::max();
  reason_.clear();
  manifest_.clear();
  // A host that has not got the "reset" would not follow the rest, so the backup does not begin
  // then.
  try {
    last_event_ = clock_.now();
    if (!host_.call("vmbackup.eventSet reset 0 ").ok) return enter(S::IDLE);
    AgentEvent event;
    event.kind = AgentEvent::Kind::START;
    event.request = request_;
    queue_.push(std::move(event));
    owes_end_ = true;
    begun_ = clock_.now();
  } catch (const std::exception& error) {
    enter(S::IDLE);
    queue_.log(std::string("the host could not be told reset: ") + error.what(), true);
  }
}

void Backup::push_end(freeze::RunRecord record) {
  if (owes_end_) {
    AgentEvent event;
    event.kind = AgentEvent::Kind::ENDED;
    event.record = std::move(record);
    queue_.push(std::move(event));
    owes_end_ = false;
  }
  VMTPY_ASSERT(!session_);  // nothing is frozen, unless a call is stuck: Python may write again
  queue_.hold(false);
}

void Backup::cancel() {
  queue_.log("the backup was cancelled during its preparation: " + reason_, unanswered_);
}

void Backup::freeze() {
  queue_.hold(true);
  try {
    session_->start();
  } catch (const std::exception& error) {
    session_.reset();
    refusal_ = BackupCode::SYNC;
    reason_ = error.what();
    enter(S::FINISHING);
    report_refusal();
  }
}

void Backup::report_refusal() {
  tell("req.error", refusal_, reason_);
  freeze::RunRecord record;
  record.outcome = freeze::Outcome::FAILED;
  record.error = reason_;
  push_end(std::move(record));
}

// Gives up a backup in which nothing is frozen.
void Backup::give_up() {
  session_.reset();
  tell("req.aborted", BackupCode::ABORT, reason_);
  freeze::RunRecord record;
  record.outcome = freeze::Outcome::ABORTED;
  record.error = reason_;
  push_end(std::move(record));
}

// Tells the host to take its snapshot. After a refusal the state is ABORTING at once (tell →
// HOST_GONE), because nobody would take the snapshot.
void Backup::commit() {
  VMTPY_ASSERT(!session_ || (session_->phase() >= freeze::Phase::FROZEN && queue_.held()));
  tell("prov.snapshotCommit", BackupCode::SUCCESS, "");
}

void Backup::abort_session() {
  session_->abort(reason_);
}

void Backup::release() {
  host_.defer(SNAPSHOT_DONE);
  session_->release();
}

// Reports a session that ended before the snapshot, or whose thaw the host heard to have failed. A
// snapshot that is taken after the guest's own thaw is not what the host asked for. The host hears
// that, and a later snapshotDone is an error (no quiesce operation is in progress any more).
void Backup::report() {
  VMTPY_ASSERT(session_ && session_->phase() == freeze::Phase::ENDED);
  freeze::RunRecord record = session_->record();
  session_.reset();
  if (record.outcome == freeze::Outcome::RELEASED) record.outcome = freeze::Outcome::ABORTED;
  if (record.error.empty()) record.error = reason_;
  if (record.outcome == freeze::Outcome::ABORTED || record.outcome == freeze::Outcome::EXPIRED) {
    tell("req.aborted", BackupCode::ABORT, record.error);
  } else {
    tell("req.error", BackupCode::SYNC, record.error);
  }
  push_end(std::move(record));
}

void Backup::confirm() {
  VMTPY_ASSERT(session_ && session_->phase() == freeze::Phase::ENDED);
  freeze::RunRecord record = session_->record();
  if (record.outcome != freeze::Outcome::RELEASED) {
    answer("ERROR " + one_line("Error: the guest did not stay quiesced: " + record.error));
    return report();
  }
  session_.reset();
  answer(OK);
  push_end(std::move(record));
}

void Backup::confirm_unfrozen() {
  freeze::RunRecord record;
  record.outcome = freeze::Outcome::RELEASED;
  push_end(std::move(record));
}

void Backup::give_up_waiting() {
  reason_ = "the thaw did not end in time";
  answer("ERROR Error: " + reason_);
}

void Backup::report_done() {
  if (!manifest_.empty()) tell("req.genericManifest", BackupCode::SUCCESS, manifest_);
  tell("req.done", BackupCode::SUCCESS, "");
}

}  // namespace vmtpy::agent
