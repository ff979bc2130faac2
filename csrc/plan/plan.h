// What to freeze, in which order, and why not the rest: /proc/self/mountinfo and sysfs in, levels
// of superblocks out. No filesystem that may be frozen or remote is opened or looked into, so
// planning never hangs; one stat() tells files from directories where only parts of a local
// filesystem are mounted, and works on a frozen one. (mounts.h and block_stack.h find the
// facts, include_exclude.h and host_volumes.h what was asked for; this decides.)
#pragma once

#include "plan/filesystem.h"

namespace vmtpy::plan {

// Throws PlanError: an include that is no mount point (naming what it lies on) or cannot be frozen
// (naming why), a ring, a stack that cannot be told to its end while the order matters; SystemError
// when there is no mountinfo to read.
Plan make_plan(const PlanRequest& request, const PlanSources& sources = {});

}  // namespace vmtpy::plan
