// How a freeze is done. This is plain data, chosen by the owner of a session from the configuration
// or from the call's arguments.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/clock.h"
#include "freeze/storage.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

// What a session does about a filesystem that someone else has frozen.
enum class AlreadyFrozen {
  ERROR,   // the freeze fails
  ACCEPT,  // the filesystem counts as frozen, and its thaw is left to them
};

// Options that are also in the configuration have its names.
struct FreezeOptions {
  Duration timeout = std::chrono::seconds(30);  // from the first FIFREEZE
  // For one FIFREEZE. After this time everything is given up.
  Duration filesystem_timeout = std::chrono::seconds(2);
  // For opening, and again for all rounds of syncfs together with the pacing.
  Duration presync_timeout = std::chrono::seconds(60);
  bool expedite_rcu = true;                  // sets /sys/kernel/rcu_expedited while freezing
  bool guardian = true;                      // false only where nothing real is frozen
  std::string run_directory = "/run/vmtpy";  // the directory of the marker
  AlreadyFrozen already_frozen = AlreadyFrozen::ERROR;
  // What the plan left out although it is writable, for the record.
  std::vector<plan::LeftOut> left_out{};
  Duration stall_goal = std::chrono::milliseconds(100);  // how long a freeze may hold writers
  // How writers are slowed down where a freeze would hold them longer.
  Converge converge = Converge::AUTO;
};

}  // namespace vmtpy::freeze
