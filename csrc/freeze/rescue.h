// Thaws by the markers that dead sessions have left: `vmtpy thaw`, and each start of the agent.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/clock.h"
#include "linux/system.h"

namespace vmtpy::freeze {

enum class Rescue {
  THAWED,       // was frozen, is not any more
  NOT_FROZEN,   // somebody (the guardian, mostly) had thawed it
  NOT_MOUNTED,  // no mount of it here: it may still be frozen, unseen
  STALE,        // the marker is of an earlier boot and means nothing
  REFUSED,      // the session that wrote the marker is alive
  FAILED,
};

struct RescueResult {
  Rescue result = Rescue::FAILED;
  std::string marker;  // file
  std::string path;    // "" if it concerns the whole marker
  std::string device;
  std::string text;  // one sentence for people
};

// One result per filesystem or marker, nothing if there is no marker. A marker is removed when all
// that it names is thawed; `force` also takes those of living sessions, and removes those whose
// filesystems are not mounted any more. Each filesystem is thawed once: what is still frozen then
// was frozen by somebody else. A killed process may still be in FIFREEZE, which freezes when it
// returns: that is waited for, for `patience` in all, and FAILED if it takes longer. Throws
// SystemError if the directory cannot be read.
std::vector<RescueResult> thaw_from_markers(linux::System& system, const std::string& run_directory,
                                            bool force,
                                            Duration patience = std::chrono::seconds(10));

}  // namespace vmtpy::freeze
