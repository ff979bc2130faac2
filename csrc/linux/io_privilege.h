// I/O privilege: the right to the processor's ports, which some hosts ask of whoever speaks to
// them. It belongs to a thread and is raised for single calls only.
#pragma once

namespace vmtpy::linux {

// 0 or -errno: EPERM without CAP_SYS_RAWIO, under kernel lockdown or by seccomp; ENOSYS where the
// kernel was built without it.
int set_io_privilege(bool raised);

}  // namespace vmtpy::linux
