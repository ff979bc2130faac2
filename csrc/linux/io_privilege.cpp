// Calls iopl(2) where the architecture has it. A bare system call serves, because not every C
// library has the function.
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
