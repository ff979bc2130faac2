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
  Time busy_since{};  // when the session began to freeze; zero while nothing is frozen
  // When Python, which owes an answer, was last heard of. Zero while it is well.
  Time stuck_since{};
};

// Says whether a filesystem is frozen now, or may be.
inline bool may_be_frozen(BackupState state) {
  return state == BackupState::FREEZING || state == BackupState::FROZEN ||
         state == BackupState::THAWING || state == BackupState::ABORTING;
}

}  // namespace vmtpy::agent
