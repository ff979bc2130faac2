// The state of the agent, for status and metrics. It can be had at any time, also while everything
// is frozen and Python is busy.
#pragma once

#include "agent/backup.h"
#include "agent/host_conversation.h"
#include "base/clock.h"

namespace vmtpy::agent {

struct LoopStatus {
  HostStatus host;
  BackupState backup = BackupState::IDLE;
  // When the session began to freeze, or an earlier one ended with something left frozen. Zero
  // while nothing is frozen.
  Time busy_since{};
  // When Python, which owes an answer, was last heard of. Zero while it is well.
  Time stuck_since{};
};

// Says whether a filesystem is frozen now, or may be.
inline bool may_be_frozen(BackupState state) {
  return state == BackupState::FREEZING || state == BackupState::FROZEN ||
         state == BackupState::THAWING || state == BackupState::ABORTING;
}

// A backup that has ended may have left a filesystem frozen whose FIFREEZE or FITHAW does not end.
inline bool may_be_frozen(const LoopStatus& status) {
  return status.busy_since != Time{};
}

}  // namespace vmtpy::agent
