// The seccomp filter of a traced program. It has the kernel ask the emulated host
// (seccomp_unotify(2)) about the few system calls that vsock needs, and lets all others through at
// full speed. All descendants inherit it, and it cannot be taken off. It serves
// emulator/ptrace/launch.h and emulator/ptrace/socket_calls.h.
#pragma once

namespace vmtpy::emulator {

// The request of ioctl(2) on /dev/vsock for this machine's context id.
inline constexpr unsigned GET_LOCAL_CID = 0x7B9;

// Called between fork and exec, so it is async-signal-safe. Returns the descriptor on which the
// kernel asks, which is closed at the exec, or -errno. Without CAP_SYS_ADMIN the kernel requires
// no_new_privs.
int install_vsock_filter();
// The filter for a host that is not on vsock: the program finds a kernel without vsock, and does
// not speak to the host that this machine may really have. Returns 0 or -errno.
int install_vsock_refusal();

}  // namespace vmtpy::emulator
