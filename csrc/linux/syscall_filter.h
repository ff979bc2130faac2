// A seccomp filter for threads that start no program. It refuses with EPERM what such a thread
// never does and an attacker in it would want. It lists what is refused and not what is allowed, so
// the C library may use any other call. It serves thread_role, and needs no_new_privs.
#pragma once

namespace vmtpy::linux {

// Composes the filter. The process calls it once, before the first filter_syscalls().
void prepare_syscall_filter();

// Applies the filter to the calling thread and to all that it starts, for good. Needs no_new_privs.
// Returns false where the kernel has no seccomp.
bool filter_syscalls();

}  // namespace vmtpy::linux
