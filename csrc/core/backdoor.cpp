// PortBackdoor: the interface over the three functions of backdoor_x86_64.cpp.
#include "core/backdoor.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

// The assembly reads and writes Registers by these offsets.
static_assert(offsetof(vmtpy::Registers, rax) == 0 && offsetof(vmtpy::Registers, rbx) == 8 &&
              offsetof(vmtpy::Registers, rcx) == 16 && offsetof(vmtpy::Registers, rdx) == 24 &&
              offsetof(vmtpy::Registers, rsi) == 32 && offsetof(vmtpy::Registers, rdi) == 40 &&
              offsetof(vmtpy::Registers, rbp) == 48);

extern "C" {
void vmtpy_backdoor_in(vmtpy::Registers* registers);
void vmtpy_backdoor_outsb(vmtpy::Registers* registers);
void vmtpy_backdoor_insb(vmtpy::Registers* registers);
}

namespace vmtpy {

void PortBackdoor::low(Registers& registers) {
  vmtpy_backdoor_in(&registers);
}
void PortBackdoor::high_out(Registers& registers) {
  vmtpy_backdoor_outsb(&registers);
}
void PortBackdoor::high_in(Registers& registers) {
  vmtpy_backdoor_insb(&registers);
}

// EPERM without CAP_SYS_RAWIO and under lockdown, ENOSYS on kernels built without it.
bool PortBackdoor::set_privilege(bool raised) {
  return syscall(SYS_iopl, raised ? 3 : 0) == 0;
}

}  // namespace vmtpy
