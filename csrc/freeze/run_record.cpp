// What a session says about itself when all is over: errors, warnings, notes.
#include "freeze/run_record.h"

#include <cerrno>
#include <cstdio>

#include "base/errors.h"
#include "freeze/session_state.h"

namespace vmtpy::freeze {

namespace {

constexpr const char* FOREIGN = "frozen by someone else, left to them";

std::string seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", std::chrono::duration<double>(duration).count());
  return text;
}

}  // namespace

FreezeSession::State::Texts FreezeSession::State::compose() {
  std::vector<Progress> progress(freezer_->size());
  std::string abort_reason;
  {
    std::lock_guard guard(freezer_->mutex);
    for (std::size_t index = 0; index < progress.size(); ++index) {
      progress[index] = freezer_->progress(index);
    }
    abort_reason = asked_ == Asked::ABORT ? abort_reason_ : "released before everything was frozen";
  }
  Texts texts;
  texts.warnings = warnings_;
  texts.code = end_.code;
  if (end_.index >= 0)
    texts.path = freezer_->filesystems()[static_cast<std::size_t>(end_.index)].path;
  switch (end_.reason) {
    case Reason::NONE:
    case Reason::RELEASED:
      texts.outcome = Outcome::RELEASED;
      break;
    case Reason::ABORTED:
      texts.outcome = Outcome::ABORTED;
      texts.error = abort_reason;
      break;
    case Reason::EXPIRED:
      texts.outcome = Outcome::EXPIRED;
      texts.error = "the limit of " + seconds(options_.limit) + " has passed";
      break;
    case Reason::CALL:
    case Reason::BUDGET:
    case Reason::PRESYNC_BUDGET:
    case Reason::GUARDIAN_DIED:
    case Reason::REPLACED:
    case Reason::SUSPENDED:
      texts.outcome = Outcome::FAILED;
      texts.error = describe_failure(
          texts.path, end_.index < 0 ? Progress{} : progress[static_cast<std::size_t>(end_.index)]);
      break;
  }
  judge_thaws(progress, texts);
  for (std::size_t index = 0; index < progress.size(); ++index) {
    if (!progress[index].foreign) continue;
    texts.warnings.push_back(freezer_->filesystems()[index].path + ": " + FOREIGN);
  }
  for (const Holder& holder : scout_->found()) {
    texts.warnings.push_back("asleep inside a write to " + holder.device + ": " + describe(holder));
  }
  if (rcu_.changed()) texts.warnings.push_back(rcu_.path() + " could not be put back");
  return texts;
}

// How the thaws went matters twice: what was thawed behind our back was not frozen to the end, and
// what is still frozen must be named whatever the outcome.
void FreezeSession::State::judge_thaws(const std::vector<Progress>& progress, Texts& texts) const {
  for (std::size_t index = 0; index < progress.size(); ++index) {
    const std::string& path = freezer_->filesystems()[index].path;
    if (progress[index].found_thawed && texts.outcome == Outcome::RELEASED) {
      texts.outcome = Outcome::LOST;
      texts.error = "FITHAW " + path + ": it had been thawed by someone else";
      texts.path = path;
      texts.code = EINVAL;
    }
    if (!progress[index].frozen) continue;
    const int code = progress[index].thaw_error;
    const std::string still = (code ? SystemError("FITHAW", path, code).what() : "FITHAW " + path) +
                              std::string("; still frozen, thawing is tried on");
    texts.warnings.push_back(still);
    if (!texts.error.empty()) continue;
    texts.error = still;
    texts.path = path;
    texts.code = code;
  }
}

// A FIFREEZE that failed has let the writers go by itself.
Duration FreezeSession::State::waited(const Progress& progress) const {
  const Time never{};
  if (progress.freeze_began == never) return {};
  if (progress.thawed_at != never) return progress.thawed_at - progress.freeze_began;
  if (progress.task == Task::FREEZE || progress.frozen) return clock_.now() - progress.freeze_began;
  return {};
}

std::string FreezeSession::State::describe_failure(const std::string& path,
                                                   const Progress& progress) const {
  switch (end_.reason) {
    case Reason::BUDGET: {
      std::string text = path + ": not frozen within " + seconds(options_.filesystem_budget);
      for (const Holder& holder : scout_->found()) {
        if (holder.device == freezer_->filesystems()[static_cast<std::size_t>(end_.index)].device) {
          text += ", held by " + describe(holder);
        }
      }
      text += "; its writers have waited for " + seconds(waited(progress));
      if (progress.task == Task::FREEZE) text += " and wait on until the kernel has let them go";
      return "FIFREEZE " + text;
    }
    case Reason::PRESYNC_BUDGET:
      return "syncfs " + path + ": not done within " + seconds(options_.presync_budget);
    case Reason::GUARDIAN_DIED:
      return "the guardian, process " + std::to_string(freezer_->guardian().process()) +
             ", has died: thawed at once";
    case Reason::REPLACED:
      return path + ": " + replaced_;
    case Reason::SUSPENDED:
      return path + ": " + suspended_ +
             " is suspended by device-mapper (a snapshot in the making?)";
    default:
      break;
  }
  if (end_.code == ESTALE && std::string(end_.call) == "statx") {
    return path + ": the planned mount is gone, or hidden by another one";
  }
  if (end_.code == EBUSY && std::string(end_.call) == "FIFREEZE") {
    return "FIFREEZE " + path + ": already frozen by someone else";
  }
  return SystemError(end_.call, path, end_.code).what();
}

std::string FreezeSession::State::describe(const Holder& holder) {
  return "process " + std::to_string(holder.process) + " (" + holder.name + ") in " + holder.call;
}

FilesystemRun FreezeSession::State::describe(std::size_t index, const Progress& progress,
                                             const Times& times) const {
  const plan::Filesystem& filesystem = freezer_->filesystems()[index];
  const Time never{};
  FilesystemRun run;
  run.path = filesystem.path;
  run.device = filesystem.device;
  run.type = filesystem.type;
  run.level = filesystem.level;
  run.sync_only = filesystem.sync_only;
  run.presync = progress.presync;
  run.presync_rounds = progress.rounds;
  run.waited = waited(progress);
  if (progress.frozen_at != never) run.freeze = progress.frozen_at - progress.freeze_began;
  if (progress.thawed_at != never) {
    run.frozen = progress.thawed_at - progress.frozen_at;
    run.thaw = progress.thawed_at - progress.thaw_began;
  }
  run.error = progress.error ? progress.error : progress.thaw_error;
  run.call = progress.error ? progress.call : progress.thaw_error ? "FITHAW" : "";
  if (progress.foreign) run.note = FOREIGN;
  if (progress.found_thawed) {
    run.note = progress.by_guardian ? "thawed by the guardian" : "thawed by someone else";
  }
  if (times.all_thawed == never) return run;
  if (progress.frozen) run.note = "still frozen, thawing is tried on";
  if (progress.task == Task::FREEZE) run.note = "still in FIFREEZE, thawed as soon as that returns";
  if (progress.thawed_at > times.all_thawed) {
    run.note = "thawed late, " + seconds(progress.thawed_at - times.all_thawed) + " after the rest";
  }
  return run;
}

}  // namespace vmtpy::freeze
