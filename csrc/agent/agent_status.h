// How the agent is, for whoever asks at any time: also while everything is frozen and Python busy.
#pragma once

#include <cstdint>
#include <string>

#include "agent/backup.h"
#include "base/clock.h"

namespace vmtpy::agent {

struct AgentStatus {
  bool connected = false;        // the host answered the last poll
  bool announced = false;        // it knows what this guest says of itself
  std::string trouble;           // why it did not answer, "" if it did
  std::string transport;         // by which it is reached: "vsock", "port", …; "": none yet
  std::string transport_reason;  // why that one
  BackupState backup = BackupState::IDLE;
  Time last_poll{};         // that was answered; zero: none yet
  Time busy_since{};        // when the session began to freeze; zero: nothing is frozen
  Time stuck_since{};       // when Python was last heard of, that owes an answer; zero: it is well
  std::uint64_t polls = 0;  // that were answered
  std::uint64_t commands = 0;  // of the host
  std::uint64_t resets = 0;    // by the host
  std::uint64_t losses = 0;    // of the host: how often it stopped answering
};

// A filesystem is frozen now, or may be.
inline bool may_be_frozen(BackupState state) {
  return state == BackupState::FREEZING || state == BackupState::FROZEN ||
         state == BackupState::THAWING || state == BackupState::ABORTING;
}

}  // namespace vmtpy::agent
