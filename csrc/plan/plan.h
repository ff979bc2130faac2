// Decides what to freeze, in which order, and why not the rest, from /proc/self/mountinfo and
// sysfs. It serves the agent and `vmtpy plan`. Planning never hangs: it opens no filesystem that
// may be frozen or remote, and looks into none. Where only parts of a local filesystem are mounted,
// one stat(), which also works on a frozen filesystem, tells files from directories. mounts.h and
// block_stack.h find the facts, include_exclude.h and host_volumes.h what was asked for.
#pragma once

#include "plan/filesystem.h"

namespace vmtpy::plan {

// Throws PlanError for an include that is no mount point (naming the filesystem on which it lies)
// or cannot be frozen (naming why), for a ring, and for a stack that cannot be followed to its end
// while the order matters. Throws SystemError when mountinfo cannot be read.
Plan make_plan(const PlanRequest& request, const PlanSources& sources = {});

}  // namespace vmtpy::plan
