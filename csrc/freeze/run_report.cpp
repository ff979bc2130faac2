// Composes the texts from the reason of the end and from each filesystem's progress. It relies on
// copies alone, and takes no lock.
#include "freeze/run_report.h"

#include <cerrno>
#include <cstdio>

#include "base/errors.h"

namespace vmtpy::freeze {

namespace {

constexpr const char* FOREIGN = "frozen by someone else, left to them";

std::string seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", std::chrono::duration<double>(duration).count());
  return text;
}

std::string describe(const StuckWriter& writer) {
  return "process " + std::to_string(writer.process) + " (" + writer.name + ") in " + writer.call;
}

// Returns how long writers have had to wait. A FIFREEZE that failed has let them go by itself.
Duration waited(const Progress& progress, Time now) {
  const Time never{};
  if (progress.freeze_began == never) return {};
  if (progress.thawed_at != never) return progress.thawed_at - progress.freeze_began;
  if (progress.task == Task::FREEZE || progress.frozen) return now - progress.freeze_began;
  return {};
}

std::string describe_timeout(const RunFacts& facts, std::size_t index) {
  const plan::Filesystem& filesystem = facts.run.filesystems[index];
  const Progress& progress = facts.run.progress[index];
  std::string text = "FIFREEZE " + filesystem.path + ": not frozen within " +
                     seconds(facts.run.options.filesystem_timeout);
  for (const StuckWriter& writer : facts.stuck_writers) {
    if (writer.device == filesystem.device) text += ", held by " + describe(writer);
  }
  text += "; its writers have waited for " + seconds(waited(progress, facts.run.now));
  if (progress.task == Task::FREEZE) text += " and wait on until the kernel has let them go";
  return text;
}

std::string describe_open_timeout(const RunFacts& facts, const std::string& path) {
  std::string text =
      "open " + path + ": not done within " + seconds(facts.run.options.presync_timeout);
  if (!facts.parent.empty())
    text += "; " + facts.parent + ", on which it is mounted, does not answer";
  return text;
}

std::string describe_call(const RunEnd& end, const std::string& path) {
  if (end.code == ESTALE && std::string(end.call) == "statx") {
    return path + ": the planned mount is gone, or hidden by another one";
  }
  if (end.code == EBUSY && std::string(end.call) == "FIFREEZE") {
    return "FIFREEZE " + path + ": already frozen by someone else";
  }
  return SystemError(end.call, path, end.code).what();
}

std::string describe_failure(const RunFacts& facts, const std::string& path) {
  switch (facts.end.reason) {
    case EndReason::OPEN_TIMEOUT:
      return describe_open_timeout(facts, path);
    case EndReason::TIMEOUT:
      return describe_timeout(facts, static_cast<std::size_t>(facts.end.index));
    case EndReason::PRESYNC_TIMEOUT:
      return "syncfs " + path + ": not done within " + seconds(facts.run.options.presync_timeout);
    case EndReason::TOO_SLOW:
      return path + ": " + facts.slow + "; nothing was frozen";
    case EndReason::GUARDIAN_DIED:
      return "the guardian, process " + std::to_string(facts.guardian) + ", has died, so vmtpy " +
             (facts.run.times.first_freeze == Time{} ? "froze nothing" : "has thawed everything");
    case EndReason::REPLACED:
      return path + ": " + facts.replaced;
    case EndReason::SUSPENDED:
      return path + ": " + facts.suspended +
             " is suspended by device-mapper, perhaps for another snapshot: take the two at "
             "different times";
    default:
      return describe_call(facts.end, path);
  }
}

void describe_end(const RunFacts& facts, RunTexts& texts) {
  switch (facts.end.reason) {
    case EndReason::NONE:
    case EndReason::RELEASED:
      texts.outcome = Outcome::RELEASED;
      return;
    case EndReason::ABORTED:
      texts.outcome = Outcome::ABORTED;
      texts.error = facts.abort_reason;
      return;
    case EndReason::EXPIRED:
      texts.outcome = Outcome::EXPIRED;
      texts.error = "the limit of " + seconds(facts.run.options.timeout) + " has passed";
      return;
    case EndReason::CALL:
    case EndReason::OPEN_TIMEOUT:
    case EndReason::TIMEOUT:
    case EndReason::PRESYNC_TIMEOUT:
    case EndReason::TOO_SLOW:
    case EndReason::GUARDIAN_DIED:
    case EndReason::REPLACED:
    case EndReason::SUSPENDED:
      texts.outcome = Outcome::FAILED;
      texts.error = describe_failure(facts, texts.path);
      return;
  }
}

// Adds what the thaws showed. A filesystem that somebody else thawed was not frozen to the end, and
// a filesystem that is still frozen must be named whatever the outcome.
void judge_thaws(const RunProgress& run, RunTexts& texts) {
  const std::vector<Progress>& progress = run.progress;
  for (std::size_t index = 0; index < progress.size(); ++index) {
    const std::string& path = run.filesystems[index].path;
    if (progress[index].found_thawed && texts.outcome == Outcome::RELEASED) {
      texts.outcome = Outcome::LOST;
      texts.error = "FITHAW " + path + ": it had been thawed by someone else";
      texts.path = path;
      texts.code = EINVAL;
    }
    if (!progress[index].frozen) continue;
    const int code = progress[index].thaw_error;
    const std::string still =
        (code ? SystemError("FITHAW", path, code).what() : "FITHAW " + path) +
        std::string("; it is still frozen, and vmtpy keeps retrying the thaw");
    texts.warnings.push_back(still);
    if (!texts.error.empty()) continue;
    texts.error = still;
    texts.path = path;
    texts.code = code;
  }
}

FilesystemRun describe(const RunProgress& run_progress, std::size_t index) {
  const plan::Filesystem& filesystem = run_progress.filesystems[index];
  const Progress& progress = run_progress.progress[index];
  const Time never{};
  FilesystemRun run;
  run.path = filesystem.path;
  run.device = filesystem.device;
  run.type = filesystem.type;
  run.level = filesystem.level;
  run.sync_only = filesystem.sync_only;
  run.presync = progress.presync;
  run.presync_rounds = progress.rounds;
  run.waited = waited(progress, run_progress.now);
  if (progress.frozen_at != never) run.freeze = progress.frozen_at - progress.freeze_began;
  if (progress.thawed_at != never) {
    run.frozen = progress.thawed_at - progress.frozen_at;
    run.thaw = progress.thawed_at - progress.thaw_began;
  }
  const StorageFigures& figures = run_progress.figures[index];
  run.dirty_before = figures.dirty_before;
  run.dirty_left = figures.dirty_left;
  run.disk_rate = figures.disk_rate;
  run.writer_rate = figures.writer_rate;
  run.expected_hold = figures.expected_hold;
  run.paced = figures.paced;
  run.error = progress.error ? progress.error : progress.thaw_error;
  run.call = progress.error ? progress.call : progress.thaw_error ? "FITHAW" : "";
  if (progress.foreign) run.note = FOREIGN;
  if (progress.found_thawed) {
    run.note = progress.by_guardian ? "thawed by the guardian" : "thawed by someone else";
  }
  if (run_progress.times.all_thawed == never) return run;
  if (progress.frozen) run.note = "still frozen; vmtpy keeps retrying the thaw";
  if (progress.task == Task::FREEZE) run.note = "still in FIFREEZE, thawed as soon as that returns";
  if (progress.thawed_at > run_progress.times.all_thawed) {
    run.note = "thawed late, " + seconds(progress.thawed_at - run_progress.times.all_thawed) +
               " after the rest";
  }
  return run;
}

}  // namespace

RunTexts compose_texts(const RunFacts& facts) {
  const std::vector<plan::Filesystem>& filesystems = facts.run.filesystems;
  RunTexts texts;
  texts.warnings = facts.warnings;
  texts.code = facts.end.code;
  if (facts.end.index >= 0) {
    texts.path = filesystems[static_cast<std::size_t>(facts.end.index)].path;
  }
  describe_end(facts, texts);
  judge_thaws(facts.run, texts);
  for (std::size_t index = 0; index < filesystems.size(); ++index) {
    if (!facts.run.progress[index].foreign) continue;
    texts.warnings.push_back(filesystems[index].path + ": " + FOREIGN);
  }
  for (const StuckWriter& writer : facts.stuck_writers) {
    texts.warnings.push_back(describe(writer) + " is asleep inside a write to " + writer.device);
  }
  if (!facts.bounds_left.empty()) {
    texts.warnings.push_back("the bound on dirty pages of " + facts.bounds_left +
                             " could not be put back");
  }
  if (!facts.rcu_left.empty()) texts.warnings.push_back(facts.rcu_left + " could not be put back");
  return texts;
}

RunRecord make_record(const RunProgress& run, const RunTexts& texts, bool rcu_used) {
  RunRecord record;
  record.outcome = texts.outcome;
  record.error = texts.error;
  record.code = texts.code;
  record.path = texts.path;
  record.warnings = texts.warnings;
  record.started_unix_ns = run.times.started_unix_ns;
  record.started = run.times.started;
  record.presynced = run.times.presynced;
  record.first_freeze = run.times.first_freeze;
  record.all_frozen = run.times.all_frozen;
  record.release_asked = run.times.release_asked;
  record.all_thawed = run.times.all_thawed;
  record.limit = run.options.timeout;
  record.left_out = run.options.left_out;
  record.rcu_expedited = rcu_used;
  record.dirty_before = run.times.dirty_before;
  record.dirty_left = run.times.dirty_left;
  record.dirty_source = run.dirty_source;
  record.rate_source = run.rate_source;
  for (std::size_t index = 0; index < run.filesystems.size(); ++index) {
    record.filesystems.push_back(describe(run, index));
  }
  return record;
}

}  // namespace vmtpy::freeze
