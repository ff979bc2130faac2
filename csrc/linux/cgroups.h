// Control groups, for the guardian: whoever freezes the group of the agent (`systemctl freeze`, a
// paused container) must not stop both. Relies on /proc/self/cgroup and cgroupfs at its usual
// place.
#pragma once

#include <string>
#include <vector>

#include "linux/system.h"

namespace vmtpy::linux {

// The files to write "0" to, for a process that wants to live outside every group that can be
// frozen. Empty where it does so already, or where there are no control groups.
std::vector<std::string> root_groups(System& system);

}  // namespace vmtpy::linux
