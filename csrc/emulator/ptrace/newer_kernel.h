// The definitions that the headers of Linux 4.18 (manylinux_2_28) lack of <sys/syscall.h>,
// <linux/seccomp.h> and <linux/vm_sockets.h>. They serve emulator/ptrace. The kernel on which the
// program runs may know these calls; on others they fail.
#pragma once

#include <linux/seccomp.h>
#include <linux/vm_sockets.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <cstdint>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424  // Linux 5.1
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425  // Linux 5.1
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434  // Linux 5.3
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438  // Linux 5.6
#endif

#ifndef SECCOMP_RET_USER_NOTIF  // Linux 5.0
#define SECCOMP_RET_USER_NOTIF 0x7fc00000U
#define SECCOMP_FILTER_FLAG_NEW_LISTENER (1UL << 3)
struct seccomp_notif {
  std::uint64_t id;
  std::uint32_t pid;
  std::uint32_t flags;
  seccomp_data data;
};
struct seccomp_notif_resp {
  std::uint64_t id;
  std::int64_t val;
  std::int32_t error;
  std::uint32_t flags;
};
#define SECCOMP_IOCTL_NOTIF_RECV _IOWR('!', 0, seccomp_notif)
#define SECCOMP_IOCTL_NOTIF_SEND _IOWR('!', 1, seccomp_notif_resp)
#endif
#ifndef SECCOMP_USER_NOTIF_FLAG_CONTINUE
#define SECCOMP_USER_NOTIF_FLAG_CONTINUE (1UL << 0)  // Linux 5.5
#endif
#ifndef SECCOMP_IOCTL_NOTIF_ADDFD  // Linux 5.9
struct seccomp_notif_addfd {
  std::uint64_t id;
  std::uint32_t flags;
  std::uint32_t srcfd;
  std::uint32_t newfd;
  std::uint32_t newfd_flags;
};
#define SECCOMP_IOCTL_NOTIF_ADDFD _IOW('!', 3, seccomp_notif_addfd)
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)  // Linux 5.19
#endif

#ifndef VMADDR_CID_LOCAL
#define VMADDR_CID_LOCAL 1  // Linux 5.6
#endif
