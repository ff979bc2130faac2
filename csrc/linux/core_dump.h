// No core dumps while something is frozen: a crash would first write the dump, perhaps to the
// frozen filesystem (or to a helper that does), and all threads die only after that: the guardian
// would learn of the death at the limit. RLIMIT_CORE does not stop dumps into a pipe;
// PR_SET_DUMPABLE does. What else it takes away (reading /proc/PID of this process) root is still
// allowed.
#pragma once

namespace vmtpy::linux {

// Counted: the first session forbids, the last one puts back what was found.
void forbid_core_dumps();
void allow_core_dumps();

}  // namespace vmtpy::linux
