// The order of freezing: which planned filesystem stands on which, and the level of each. It serves
// the plan and relies on block_stack.
#pragma once

#include <vector>

#include "plan/block_stack.h"
#include "plan/filesystem.h"

namespace vmtpy::plan {

// Fills in `stands_on` and `level`, and sorts by level and path. A dependence also passes through
// filesystems that are not planned: an image in an overlay stands on the filesystem of the upper
// directory. Throws PlanError for a ring, and for a filesystem whose carriers are not known when
// one of the others might be among them.
void put_in_order(std::vector<Filesystem>& filesystems, Stack& stack);

}  // namespace vmtpy::plan
