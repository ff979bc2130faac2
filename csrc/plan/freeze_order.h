// The order of freezing: which planned filesystem stands on which, and the level of each. Serves
// plan.
#pragma once

#include <vector>

#include "plan/block_stack.h"
#include "plan/filesystem.h"

namespace vmtpy::plan {

// Fills in stands_on and level, and sorts by level and path. Also what is not planned itself passes
// a dependence on: an image in an overlay stands on the filesystem of the upper directory. Throws
// PlanError for a ring, and for a filesystem whose carriers are not known when one of the others
// might be among them.
void put_in_order(std::vector<Filesystem>& filesystems, Stack& stack);

}  // namespace vmtpy::plan
