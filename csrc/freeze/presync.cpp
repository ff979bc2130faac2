// The conductor's pre-sync: dirty pages go out while the writers still run, because FIFREEZE has to
// write the rest while they wait. A FIFREEZE that has begun cannot be called back, so its length is
// estimated before it begins. Where writers outrun their disk they are slowed down until the freeze
// is short, or nothing is frozen.
#include <algorithm>

#include "freeze/conductor.h"
#include "freeze/dirty.h"

namespace vmtpy::freeze {

namespace {

using namespace std::chrono_literals;

constexpr int ROUNDS = 3;
constexpr Duration SHORT_ROUND = 5ms;  // after such a round hardly anything is left to sync
constexpr Duration LOOK = 50ms;        // between two looks at what is dirty
// If everything can be written in this time, it is synced without pacing anybody.
constexpr Duration FAST = 300ms;
constexpr Duration FAST_FOUND = 500ms;  // how long the pre-sync may take to find that out
constexpr Duration SLOW_ROUND = 300ms;  // after this time in a syncfs its disk is looked at
constexpr Duration SLOW = 1s;           // a disk is slow if it takes longer to write what is dirty
// The pause where only a syncfs tells how long a freeze would take.
constexpr Duration ROUND_PAUSE = 2s;
// The guardian's deadline is later than that of the pacing by this, as the freeze may have to wait
// for a snapshot of a volume below, and sets the deadline anew only then.
constexpr Duration UNTIL_FREEZE = 4s;

}  // namespace

// The rounds of syncfs. Another round helps only while each is clearly shorter than the last.
struct Conductor::Rounds {
  int count = 0;
  Duration expected{};  // how long the dirty pages should take the one that runs
  Duration left{};      // how long what was dirty after the last one should take
  Duration last = Duration::max();
  Time began{}, ended{};
  bool running = false;
  bool due = true;

  void end(Time now) {
    const Duration took = now - began;
    due = count < ROUNDS && took >= SHORT_ROUND && took < last / 2;
    last = took;
    ended = now;
    running = false;
  }
};

bool Conductor::presync() {
  const Time began = clock_.now();
  const Time deadline = began + options_.presync_timeout;
  const auto dirty = dirty_pages(system_);
  storage_.look(freezer_->filesystems(), options_.stall_goal, began, deadline);
  {
    MutexLock lock(freezer_->mutex);
    if (dirty) state_.times.dirty_before = dirty->bytes();
  }
  const bool done = write_back(deadline);
  publish_figures();
  MutexLock lock(freezer_->mutex);
  if (done) state_.times.presynced = clock_.now();
  return done;
}

bool Conductor::write_back(Time deadline) {
  Rounds rounds;
  const bool gently = storage_.counts_each() && storage_.seems_slow() && storage_.can_pace();
  if (gently && !pace(deadline)) return false;
  rounds.due = !storage_.pacing();
  const Time began = clock_.now();
  for (;;) {
    bool ended = false;
    {
      MutexLock lock(freezer_->mutex);
      if (state_.asked != Asked::NOTHING) return end_as_asked();
      if (freezer_->failed() >= 0) return end_as_failed();
      ended = rounds.running && freezer_->running() == 0;
      if (rounds.due && !rounds.running && (rounds.count == 0 || clock_.now() < deadline)) {
        rounds.due = false;
        rounds.running = true;
        rounds.began = clock_.now();
        rounds.expected = storage_.writing_time();
        ++rounds.count;
        freezer_->begin(Task::SYNC, -1);
      }
    }
    if (!has_guardian()) return false;
    storage_.observe(clock_.now());
    if (ended) end_round(rounds);
    switch (judge(rounds, began, deadline)) {
      case Judgement::FREEZE:
        return true;
      case Judgement::END:
        return false;
      case Judgement::GO_ON:
        break;
    }
    MutexLock lock(freezer_->mutex);
    const Time next = std::min(deadline, clock_.now() + LOOK);
    while (!rounds.due && state_.asked == Asked::NOTHING && freezer_->failed() < 0 &&
           (!rounds.running || freezer_->running() > 0) && clock_.now() < next) {
      clock_.wait_until(lock, freezer_->changed, next);
    }
  }
}

// A syncfs of hardly anything costs about what a freeze does: its commit of the journal, its
// flushes.
void Conductor::end_round(Rounds& rounds) {
  rounds.end(clock_.now());
  rounds.left = storage_.writing_time();
  if (rounds.expected <= options_.stall_goal) storage_.set_cost(rounds.last - rounds.expected);
}

Conductor::Judgement Conductor::judge(Rounds& rounds, Time began, Time deadline) {
  const Time now = clock_.now();
  if (now >= deadline) return judge_late(rounds);
  if (rounds.running) {
    const bool slow = now - rounds.began >= SLOW_ROUND && storage_.expected_hold() > SLOW;
    if (slow && !storage_.pacing() && storage_.can_pace() && !pace(deadline)) return Judgement::END;
    return Judgement::GO_ON;
  }
  if (rounds.due) return Judgement::GO_ON;
  if (is_ready(rounds)) {
    // The kernel has written data so far. A syncfs writes what else a freeze would have to write.
    rounds.due = rounds.count == 0;
    return rounds.due ? Judgement::GO_ON : Judgement::FREEZE;
  }
  if (!storage_.pacing() && !storage_.ready()) {
    if (storage_.can_pace()) return pace(deadline) ? Judgement::GO_ON : Judgement::END;
    return expected_hold(rounds) <= options_.filesystem_timeout ? Judgement::FREEZE : refuse();
  }
  if (storage_.hopeless()) return refuse();
  if (rounds.count == 0 && now - began < FAST_FOUND && storage_.has_measured() &&
      storage_.expected_hold() < FAST) {
    restore_bounds();
    rounds.due = true;
    return Judgement::GO_ON;
  }
  const bool stands = storage_.stands();
  if (stands && rounds.count > 0 && told_by_syncfs(rounds) <= options_.stall_goal) {
    return Judgement::FREEZE;
  }
  const bool untold = !storage_.counts_each() || storage_.ready();
  rounds.due = stands || (untold && now - rounds.ended >= ROUND_PAUSE);
  return Judgement::GO_ON;
}

// Judges after the deadline. The goal has been missed, and nothing may be frozen that would not end
// in time.
Conductor::Judgement Conductor::judge_late(const Rounds& rounds) {
  if (rounds.running && storage_.expected_hold() <= options_.filesystem_timeout) {
    MutexLock lock(freezer_->mutex);
    const int busy = find_busy(Task::SYNC);
    if (busy < 0) return Judgement::GO_ON;
    end(EndReason::PRESYNC_TIMEOUT, busy);
    return Judgement::END;
  }
  if (rounds.running || expected_hold(rounds) > options_.filesystem_timeout / 2) return refuse();
  warnings_.push_back("the pre-sync did not reach its goal: " + storage_.describe());
  return Judgement::FREEZE;
}

// Returns how long a freeze would hold writers. The dirty pages of the whole machine tell little of
// these filesystems, and those of a disk may belong to filesystems that are not frozen. Where these
// pages cannot be made to go either, the last syncfs tells more.
Duration Conductor::expected_hold(const Rounds& rounds) const {
  const Duration hold = storage_.expected_hold();
  if (rounds.count == 0 || rounds.running) return hold;
  if (!storage_.counts_each()) return std::min(hold, rounds.last);
  return storage_.can_pace() ? hold : std::min(hold, told_by_syncfs(rounds));
}

// Returns how long another syncfs should take. What is dirty and has not gone out with the last one
// belongs to other filesystems.
Duration Conductor::told_by_syncfs(const Rounds& rounds) const {
  return rounds.last + std::max(storage_.writing_time() - rounds.left, Duration::zero());
}

bool Conductor::is_ready(const Rounds& rounds) const {
  if (expected_hold(rounds) > options_.filesystem_timeout) return false;
  if (storage_.counts_each()) return storage_.ready();
  return storage_.ready() || expected_hold(rounds) <= options_.stall_goal;
}

Conductor::Judgement Conductor::refuse() {
  slow_ = storage_.describe();
  end(EndReason::TOO_SLOW, static_cast<int>(storage_.slowest()));
  return Judgement::END;
}

// Begins to pace writers. Returns false when the guardian cannot be started. Without the right to
// set a bound nobody is paced.
bool Conductor::pace(Time deadline) {
  if (!stand_guard(deadline + UNTIL_FREEZE, true)) return false;
  // The guardian hears of it before the first bound is set: a bound may be put back once too often,
  // but never too rarely.
  freezer_->guardian().set_bounds(true);
  if (!storage_.pace(clock_.now())) restore_bounds();
  return true;
}

bool Conductor::restore_bounds() {
  // When everything is put back the owner may be gone, and the clock with it.
  const bool owed = storage_.changed() || storage_.pacing();
  if (owed && !storage_.restore(clock_.now())) return false;
  freezer_->guardian().set_bounds(false);
  return true;
}

void Conductor::publish_figures() {
  std::vector<StorageFigures> figures = storage_.figures(clock_.now());
  MutexLock lock(freezer_->mutex);
  state_.figures.swap(figures);
  state_.dirty_source = storage_.source();
  state_.rate_source = storage_.rate_source();
}

}  // namespace vmtpy::freeze
