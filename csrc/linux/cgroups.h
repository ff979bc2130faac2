// Control groups, for the guardian. Whoever freezes the group of the agent (`systemctl freeze`, a
// paused container) must not stop both the agent and the guardian. This relies on /proc/self/cgroup
// and on cgroupfs at its usual place.
#pragma once

#include <string>
#include <vector>

#include "linux/system.h"

namespace vmtpy::linux {

// Returns the files to which a process writes "0" to live outside every group that can be frozen.
// The list is empty where the process is outside already, and where there are no control groups.
std::vector<std::string> root_groups(System& system);

}  // namespace vmtpy::linux
