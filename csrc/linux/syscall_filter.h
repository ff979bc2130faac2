// A seccomp filter for threads that start no program: what they never do, and what somebody who has
// got hold of one would want, is refused with EPERM. A list of what is refused, not of what is
// allowed: the C library may do what it likes.
#pragma once

namespace vmtpy::linux {

// Composes it. Once, before the first filter_syscalls().
void prepare_syscall_filter();

// For the calling thread and what it starts, for good. Needs no_new_privs. False where the kernel
// has none.
bool filter_syscalls();

}  // namespace vmtpy::linux
