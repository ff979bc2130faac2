// Composes the seccomp program once for the process. Relies on the calls' numbers in the headers,
// and on its own table for those that came after Linux 4.18.
#include "linux/syscall_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <vector>

namespace vmtpy::linux {

namespace {

#if defined(__x86_64__)
constexpr unsigned ARCHITECTURE = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned ARCHITECTURE = AUDIT_ARCH_AARCH64;
#endif

// Calls that came after Linux 4.18 are missing in older headers. Their numbers are the same on
// every architecture.
enum Newer : unsigned {
  IO_URING_SETUP = 425,
  OPEN_TREE = 428,
  MOVE_MOUNT = 429,
  FSOPEN = 430,
  FSCONFIG = 431,
  FSMOUNT = 432,
  FSPICK = 433,
  PIDFD_GETFD = 438,
  MOUNT_SETATTR = 442,
};
#if defined(__aarch64__) && !defined(SYS_kexec_file_load)
#define SYS_kexec_file_load 294  // in Linux 5.0 and later on arm64
#endif

constexpr unsigned REFUSED[] = {
    // These start or enter other programs and processes.
    SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, PIDFD_GETFD,
    // These change mounts and namespaces.
    SYS_mount, SYS_umount2, MOVE_MOUNT, OPEN_TREE, FSOPEN, FSCONFIG, FSMOUNT, FSPICK, MOUNT_SETATTR,
    SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare,
    // These change the user and groups.
    SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid,
    SYS_setfsgid, SYS_setgroups,
    // These change the kernel or the machine.
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load,
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, IO_URING_SETUP, SYS_keyctl, SYS_add_key,
    SYS_request_key, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl, SYS_syslog,
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_sethostname,
    SYS_setdomainname, SYS_personality, SYS_open_by_handle_at};
// The loop needs AF_UNIX for the service manager and AF_VSOCK for the host.
constexpr unsigned FAMILIES[] = {AF_UNIX, AF_VSOCK};

constexpr unsigned OTHER_CONVENTION =
    0x40000000;  // the calls of the x32 convention begin at this number
constexpr unsigned ALLOW = SECCOMP_RET_ALLOW, REFUSE = SECCOMP_RET_ERRNO | EPERM;

std::vector<sock_filter> program;

void load(std::size_t field) {
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<__u32>(field)));
}

void answer(unsigned verdict) {
  program.push_back(BPF_STMT(BPF_RET | BPF_K, verdict));
}

void answer_if(unsigned comparison, unsigned operand, unsigned verdict) {
  program.push_back(BPF_JUMP(BPF_JMP | comparison | BPF_K, operand, 0, 1));
  answer(verdict);
}

}  // namespace

void prepare_syscall_filter() {
  program.clear();
  load(offsetof(seccomp_data, arch));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
  answer(REFUSE);
  load(offsetof(seccomp_data, nr));
  answer_if(BPF_JGE, OTHER_CONVENTION, REFUSE);
  for (const unsigned call : REFUSED) answer_if(BPF_JEQ, call, REFUSE);
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0));
  answer(ALLOW);
  load(offsetof(seccomp_data, args[0]));  // this is the low half, on little-endian machines
  for (const unsigned family : FAMILIES) answer_if(BPF_JEQ, family, ALLOW);
  answer(REFUSE);
}

bool filter_syscalls() {
  const sock_fprog filter = {static_cast<unsigned short>(program.size()), program.data()};
  // Without SPEC_ALLOW older kernels would slow the thread down, as they mitigate speculation in
  // it.
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter) ==
         0;
}

}  // namespace vmtpy::linux
