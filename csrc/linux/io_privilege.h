// I/O privilege is the right to use the processor's ports, which some hosts ask of whoever speaks
// to them. It belongs to a thread. It serves the backdoor, which raises it for single calls only.
#pragma once

namespace vmtpy::linux {

// Returns 0 or -errno. EPERM comes without CAP_SYS_RAWIO, under kernel lockdown, and from seccomp.
// ENOSYS comes where the kernel was built without the call.
int set_io_privilege(bool raised);

}  // namespace vmtpy::linux
