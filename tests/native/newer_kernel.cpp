// Prints what emulator/ptrace/newer_kernel.h defines. tests/native/test_old_headers.py compares the
// output under old and new headers.
#include "emulator/ptrace/newer_kernel.h"

#include <cstddef>
#include <cstdio>

#define TELL(value) std::printf("%s %llu\n", #value, static_cast<unsigned long long>(value))

int main() {
  TELL(SYS_pidfd_send_signal);
  TELL(SYS_io_uring_setup);
  TELL(SYS_pidfd_open);
  TELL(SYS_pidfd_getfd);
  TELL(SECCOMP_RET_USER_NOTIF);
  TELL(SECCOMP_FILTER_FLAG_NEW_LISTENER);
  TELL(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  TELL(SECCOMP_USER_NOTIF_FLAG_CONTINUE);
  TELL(SECCOMP_IOCTL_NOTIF_RECV);  // the size of the argument is part of each ioctl's number
  TELL(SECCOMP_IOCTL_NOTIF_SEND);
  TELL(SECCOMP_IOCTL_NOTIF_ADDFD);
  TELL(offsetof(seccomp_notif, data));
  TELL(offsetof(seccomp_notif_resp, flags));
  TELL(offsetof(seccomp_notif_addfd, newfd_flags));
  TELL(VMADDR_CID_LOCAL);
}
