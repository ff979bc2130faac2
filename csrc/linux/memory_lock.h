// Keeps in memory those pages of this process that are there already, so that no page fault waits
// for a disk that is frozen, slow or short of swap. It brings no further pages in. It serves `vmtpy
// run`.
#pragma once

namespace vmtpy::linux {

// Returns false where the process may not lock memory. Then nothing is locked and nothing is
// limited.
bool lock_memory();

}  // namespace vmtpy::linux
