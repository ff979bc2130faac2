// Keeps in memory what of this process is there already, so that no fault has to wait for a disk
// that is frozen, slow or short of swap. Nothing more is brought in for it.
#pragma once

namespace vmtpy::linux {

// False where it is not allowed: then nothing is locked, and nothing is limited by it.
bool lock_memory();

}  // namespace vmtpy::linux
