// How a freeze is to be done. Plain data, chosen by the owner of a session.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/clock.h"
#include "freeze/storage.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

// What becomes of a filesystem that someone else has frozen.
enum class AlreadyFrozen {
  ERROR,   // the freeze fails
  ACCEPT,  // it counts as frozen, and its thaw is left to them
};

// Each option that the configuration has is called as there.
struct FreezeOptions {
  Duration timeout = std::chrono::seconds(30);  // from the first FIFREEZE
  Duration filesystem_timeout =
      std::chrono::seconds(2);                          // for one FIFREEZE; past it all is given up
  Duration presync_timeout = std::chrono::seconds(60);  // for all rounds of syncfs, and pacing
  bool expedite_rcu = true;                             // /sys/kernel/rcu_expedited while freezing
  bool guardian = true;                                 // false only where nothing real is frozen
  std::string run_directory = "/run/vmtpy";             // where the marker is kept
  AlreadyFrozen already_frozen = AlreadyFrozen::ERROR;
  std::vector<plan::LeftOut>
      left_out{};  // what the plan left out although it is writable, for the record
  Duration stall_goal = std::chrono::milliseconds(100);  // that a freeze may hold writers
  Converge converge = Converge::AUTO;  // how they are slowed down where it would be longer
};

}  // namespace vmtpy::freeze
