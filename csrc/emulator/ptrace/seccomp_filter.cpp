// Two constant seccomp programs and their installation. They rely on seccomp_unotify(2), whose
// definitions newer_kernel.h has.
#include "emulator/ptrace/seccomp_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "emulator/ptrace/newer_kernel.h"

namespace vmtpy::emulator {

namespace {

constexpr unsigned X32 = 0x40000000;
constexpr unsigned SOCKET_32 = 359, SOCKETCALL_32 = 102;  // the numbers in 32-bit programs
constexpr unsigned SOCKETCALL_SOCKET = 1;                 // the first argument of socketcall

constexpr unsigned ASK = SECCOMP_RET_USER_NOTIF;
constexpr unsigned ALLOW = SECCOMP_RET_ALLOW;
constexpr unsigned NO_FAMILY = SECCOMP_RET_ERRNO | EAFNOSUPPORT;
constexpr unsigned NO_CALL = SECCOMP_RET_ERRNO | ENOSYS;

constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset));
}
// Loads the low half of an argument (little-endian). The arguments that are looked at are int and
// unsigned int.
constexpr sock_filter load_argument(unsigned number) {
  return load(offsetof(seccomp_data, args) + number * sizeof(std::uint64_t));
}
constexpr sock_filter end(unsigned action) {
  return BPF_STMT(BPF_RET | BPF_K, action);
}
// Goes on if the accumulator is equal to `value`, else skips `skip` instructions.
constexpr sock_filter unless(unsigned value, unsigned char skip) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip);
}
constexpr sock_filter skip_if(unsigned value, unsigned char skip) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, skip, 0);
}

// The accumulator holds the number of the call. CALL ends with `action` for this call, …
#define CALL(number, action) unless(number, 1), end(action)
// … and CALL_WITH does so only with this argument.
#define CALL_WITH(number, argument, value, action) \
  unless(number, 4), load_argument(argument), unless(value, 1), end(action), end(ALLOW)

// Ways around the filter are closed. io_uring, which makes and connects sockets unseen, is refused,
// and programs of other ABIs find no such family. The kernel asks about the socketcall of 32-bit
// programs, because its arguments are in memory.
const sock_filter FILTER[] = {
    load(offsetof(seccomp_data, arch)),
    skip_if(AUDIT_ARCH_X86_64, 12),
    // 12 instructions for all others
    load(offsetof(seccomp_data, nr)),
    CALL_WITH(SOCKET_32, 0, AF_VSOCK, NO_FAMILY),
    CALL_WITH(SOCKETCALL_32, 0, SOCKETCALL_SOCKET, ASK),
    end(ALLOW),
    // x86-64
    load(offsetof(seccomp_data, nr)),
    CALL(SYS_connect, ASK),
    CALL(SYS_bind, ASK),
    CALL(SYS_getsockname, ASK),
    CALL(SYS_getpeername, ASK),
    CALL(SYS_io_uring_setup, NO_CALL),
    CALL_WITH(SYS_socket, 0, AF_VSOCK, ASK),
    CALL_WITH(SYS_setsockopt, 1, AF_VSOCK, ASK),
    CALL_WITH(SYS_getsockopt, 1, AF_VSOCK, ASK),
    CALL_WITH(SYS_ioctl, 1, GET_LOCAL_CID, ASK),
    CALL_WITH(X32 | SYS_socket, 0, AF_VSOCK, NO_FAMILY),
    end(ALLOW),
};

// Refuses the family, as a machine without vsock does.
const sock_filter REFUSAL[] = {
    load(offsetof(seccomp_data, arch)),
    skip_if(AUDIT_ARCH_X86_64, 7),
    // 7 instructions for all others
    load(offsetof(seccomp_data, nr)),
    CALL_WITH(SOCKET_32, 0, AF_VSOCK, NO_FAMILY),
    end(ALLOW),
    // x86-64
    load(offsetof(seccomp_data, nr)),
    CALL(SYS_io_uring_setup, NO_CALL),
    CALL_WITH(SYS_socket, 0, AF_VSOCK, NO_FAMILY),
    CALL_WITH(X32 | SYS_socket, 0, AF_VSOCK, NO_FAMILY),
    end(ALLOW),
};

template <std::size_t SIZE>
int install(const sock_filter (&filter)[SIZE], unsigned long flags) {
  sock_fprog program{SIZE, const_cast<sock_filter*>(filter)};
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace

int install_vsock_filter() {
  // With this flag a call that is being answered is not begun again for a signal.
  unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  int result = install(FILTER, flags);
  if (result == -EINVAL) result = install(FILTER, flags = SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (result == -EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
    result = install(FILTER, flags);
  }
  return result;
}

int install_vsock_refusal() {
  int result = install(REFUSAL, 0);
  if (result == -EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
    result = install(REFUSAL, 0);
  }
  return result;
}

}  // namespace vmtpy::emulator
