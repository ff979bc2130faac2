// How the agent is, for whoever asks at any time: also while everything is frozen and Python busy.
#pragma once

#include "agent/backup.h"
#include "agent/host_conversation.h"
#include "base/clock.h"

namespace vmtpy::agent {

struct LoopStatus {
  HostStatus host;
  BackupState backup = BackupState::IDLE;
  Time busy_since{};   // when the session began to freeze; zero: nothing is frozen
  Time stuck_since{};  // when Python was last heard of, that owes an answer; zero: it is well
};

// A filesystem is frozen now, or may be.
inline bool may_be_frozen(BackupState state) {
  return state == BackupState::FREEZING || state == BackupState::FROZEN ||
         state == BackupState::THAWING || state == BackupState::ABORTING;
}

}  // namespace vmtpy::agent
