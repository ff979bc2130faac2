// Forbids core dumps while something is frozen. A process that crashes writes its dump first,
// perhaps to the frozen filesystem (or to a helper that does), and its threads die only after that,
// so the guardian would learn of the death at the limit. RLIMIT_CORE does not stop dumps into a
// pipe; PR_SET_DUMPABLE does. It also takes away the right to read /proc/PID of this process, which
// root keeps.
#pragma once

namespace vmtpy::linux {

// The sessions are counted: the first one forbids dumps, and the last one puts back what the first
// found. Any thread may call both functions.
void forbid_core_dumps();
void allow_core_dumps();

}  // namespace vmtpy::linux
