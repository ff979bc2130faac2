// The backup machine's patience with Python, which may never answer START (an import that hangs, a
// GIL that is held). Relies on Python being one thread that answers one event after the other. As
// long as a START is unanswered no other is queued, so a late answer is never taken for the answer
// to another START.
#include <algorithm>
#include <string>

#include "agent/backup.h"

namespace vmtpy::agent {

bool Backup::preparing() {
  heard_ = clock_.now();
  return state_ == BackupState::PREPARING;
}

Time Backup::silent_since() const {
  return std::max(begun_, heard_.load());
}

Time Backup::stuck_since() const {
  const bool silent = clock_.now() - silent_since() >= options_.prepare_patience;
  return unanswered_ && silent ? silent_since() : Time{};
}

std::string Backup::stuck() const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(clock_.now() - begun_);
  return "Python is stuck: it has not answered the start of a backup for " +
         std::to_string(seconds.count()) + " s; restart the vmtpy service";
}

// Ends a backup that Python does not answer. The host hears the end now. Python hears it when it
// answers, because START and ENDED are in its queue.
void Backup::give_up_on_python() {
  unanswered_ = true;
  if (state_ == BackupState::CANCELLED) {
    queue_.log(stuck(), true);
  } else {
    take(BackupEvent::LATE, stuck());
  }
  leave();
}

}  // namespace vmtpy::agent
