// The seccomp filter of a traced program: has the kernel ask us (seccomp_unotify(2)) about the few
// system calls that vsock takes, and lets all others through at full speed. It is inherited by all
// descendants and cannot be taken off. Used by emulator/ptrace/launch.h and
// emulator/ptrace/socket_calls.h.
#pragma once

namespace vmtpy::emulator {

// The request of ioctl(2) on /dev/vsock for this machine's context id.
inline constexpr unsigned GET_LOCAL_CID = 0x7B9;

// To be called between fork and exec: async-signal-safe. Answers the descriptor on which the kernel
// asks, closed at the exec, or -errno. Without CAP_SYS_ADMIN the kernel wants no_new_privs set.
int install_vsock_filter();
// The same for a host that is not on vsock: the program finds a kernel without it, and does not
// speak to the host that this machine may really have. 0 or -errno.
int install_vsock_refusal();

}  // namespace vmtpy::emulator
