// What the owner of a session asks of the conductor, called from the owner's threads. Relies on the
// freezer's mutex.
#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "base/errors.h"
#include "freeze/conductor.h"
#include "linux/threads.h"

namespace vmtpy::freeze {

namespace {

// A freeze that would take longer than its limit never begins, whatever the goal.
FreezeOptions sensible(FreezeOptions options) {
  options.stall_goal = std::min(options.stall_goal, options.filesystem_timeout);
  return options;
}

}  // namespace

Conductor::Conductor(linux::System& system, Clock& clock, std::vector<plan::Filesystem> filesystems,
                     FreezeOptions options)
    : system_(system),
      clock_(clock),
      options_(sensible(std::move(options))),
      freezer_(std::make_shared<Freezer>(system, clock, std::move(filesystems),
                                         options_.already_frozen)),
      rcu_(system),
      storage_(system, options_.converge),
      scout_(std::make_shared<StuckWriterScout>(freezer_->filesystems())),
      texts_(std::make_shared<RunTexts>()),
      no_memory_texts_(std::make_shared<RunTexts>(
          RunTexts{Outcome::FAILED, "malloc: Cannot allocate memory", "", ENOMEM, {}})) {
  std::set<int> levels;
  for (const plan::Filesystem& filesystem : freezer_->filesystems())
    levels.insert(filesystem.level);
  levels_.assign(levels.begin(), levels.end());
}

Conductor::~Conductor() = default;

// Starts the conductor's thread now, because it has its rights from the thread that makes the
// session. The thread that starts the run may have fewer.
void Conductor::stand_by() {
  auto self = shared_from_this();
  const int error = linux::start_thread("vmtpy-freeze", linux::Role::CONDUCTOR, [self] {
    if (self->await_start()) self->conduct();
  });
  if (error) throw SystemError("pthread_create", "", error);
}

bool Conductor::await_start() {
  MutexLock lock(freezer_->mutex);
  while (state_.phase == Phase::NEW && !state_.dropped) freezer_->changed.wait(lock);
  return state_.phase != Phase::NEW;
}

void Conductor::drop() {
  MutexLock lock(freezer_->mutex);
  state_.dropped = true;
  freezer_->changed.notify_all();
}

void Conductor::start() {
  const std::vector<plan::Filesystem>& all = freezer_->filesystems();
  if (std::all_of(all.begin(), all.end(),
                  [](const plan::Filesystem& filesystem) { return filesystem.sync_only; })) {
    throw PlanError("there is no filesystem to freeze");
  }
  MutexLock lock(freezer_->mutex);
  if (state_.phase != Phase::NEW) throw Error("a freeze session starts only once");
  state_.times.started = clock_.now();
  state_.times.started_unix_ns =
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  set_phase(Phase::PREPARING);
  freezer_->changed.notify_all();
}

void Conductor::release() {
  MutexLock lock(freezer_->mutex);
  if (state_.asked == Asked::NOTHING) state_.asked = Asked::RELEASE;
  freezer_->changed.notify_all();
}

void Conductor::abort(const std::string& reason) {
  std::string text = reason;  // the text is allocated before the lock is taken
  MutexLock lock(freezer_->mutex);
  if (state_.asked != Asked::NOTHING) return;
  state_.asked = Asked::ABORT;
  state_.abort_reason.swap(text);
  freezer_->changed.notify_all();
}

Phase Conductor::phase() {
  MutexLock lock(freezer_->mutex);
  return state_.phase;
}

bool Conductor::wait_for(Phase phase, Time deadline) {
  MutexLock lock(freezer_->mutex);
  while (state_.phase < phase) {
    if (phase_changed_.wait_until(lock, deadline) == std::cv_status::timeout) break;
  }
  return state_.phase >= phase;
}

void Conductor::wait_until_ended() {
  MutexLock lock(freezer_->mutex);
  if (state_.phase == Phase::NEW) return;
  while (state_.phase != Phase::ENDED) phase_changed_.wait(lock);
}

// Returns what is known of the run. The caller may be slow, so plain data is copied under the lock,
// into memory that is there already.
RunRecord Conductor::record() {
  RunProgress run{freezer_->filesystems(),
                  options_,
                  std::vector<Progress>(freezer_->size()),
                  {},
                  {},
                  std::vector<StorageFigures>(freezer_->size())};
  std::shared_ptr<const RunTexts> texts;
  bool rcu_used;
  {
    MutexLock lock(freezer_->mutex);
    copy_progress(run.progress);
    run.times = state_.times;
    std::copy(state_.figures.begin(), state_.figures.end(), run.figures.begin());
    run.dirty_source = state_.dirty_source;
    run.rate_source = state_.rate_source;
    rcu_used = state_.rcu_used;
    texts = texts_;
  }
  run.now = clock_.now();
  return make_record(run, *texts, rcu_used);
}

void Conductor::copy_progress(std::vector<Progress>& progress) const {
  for (std::size_t index = 0; index < progress.size(); ++index) {
    progress[index] = freezer_->progress(index);
  }
}

RunFacts Conductor::facts() {
  RunFacts facts{
      {freezer_->filesystems(), options_, std::vector<Progress>(freezer_->size()), {}, {}, {}},
      {},
      "",
      warnings_,
      scout_->found(),
      replaced_,
      parent_,
      suspended_,
      slow_,
      freezer_->guardian().process(),
      storage_.changed_names(),
      rcu_.changed() ? RcuSwitch::PATH : ""};
  MutexLock lock(freezer_->mutex);
  copy_progress(facts.run.progress);
  facts.run.times = state_.times;
  facts.run.now = clock_.now();
  facts.end = end_;
  facts.abort_reason =
      state_.asked == Asked::ABORT ? state_.abort_reason : "released before everything was frozen";
  return facts;
}

}  // namespace vmtpy::freeze
