// Thaws by the markers that dead sessions have left. It serves `vmtpy thaw` and each start of the
// agent, and relies on marker.h and on the mounts of this machine.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/clock.h"
#include "linux/system.h"

namespace vmtpy::freeze {

enum class Rescue {
  THAWED,       // was frozen and is not any more
  NOT_FROZEN,   // somebody (mostly the guardian) had thawed it
  NOT_MOUNTED,  // it is not mounted here, and may still be frozen unseen
  STALE,        // the marker is of an earlier boot and means nothing
  REFUSED,      // the session that wrote the marker is alive
  FAILED,
};

struct RescueResult {
  Rescue result = Rescue::FAILED;
  std::string marker;  // the marker's file
  std::string path;    // "" if the result concerns the whole marker
  std::string device;
  std::string text;  // one sentence for people
};

// Returns one result for each filesystem or marker, and nothing if there is no marker. A marker is
// removed when all that it names is thawed. `force` also takes the markers of living sessions, and
// removes those whose filesystems are not mounted any more. Each filesystem is thawed once: if it
// is still frozen then, somebody else has frozen it. A killed process may still be in FIFREEZE,
// which freezes when it returns. The call waits for that, for `patience` in all, and the result is
// FAILED if it takes longer. Throws SystemError if the directory cannot be read.
std::vector<RescueResult> thaw_from_markers(linux::System& system, const std::string& run_directory,
                                            bool force,
                                            Duration patience = std::chrono::seconds(10));

}  // namespace vmtpy::freeze
