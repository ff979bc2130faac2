// Calls iopl(2) by its number where the architecture has the call. Elsewhere the answer is -ENOSYS,
// as from a kernel that was built without it.
#include "linux/io_privilege.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace vmtpy::linux {

int set_io_privilege([[maybe_unused]] bool raised) {
#ifdef SYS_iopl
  return syscall(SYS_iopl, raised ? 3 : 0) == 0 ? 0 : -errno;
#else
  return -ENOSYS;
#endif
}

}  // namespace vmtpy::linux
