// Calls mlockall(2) where no limit can make a later allocation fail: without RLIMIT_MEMLOCK, or
// with CAP_IPC_LOCK.
#include "linux/memory_lock.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vmtpy::linux {

namespace {

bool has_ipc_lock() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[0].effective & (1U << CAP_IPC_LOCK)) != 0;
}

}  // namespace

// With MCL_FUTURE under a limit later allocations would fail, so memory is locked only without a
// limit.
bool lock_memory() {
  rlimit limit = {};
  const bool unlimited = getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
  if (!unlimited && !has_ipc_lock()) return false;
  return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

}  // namespace vmtpy::linux
