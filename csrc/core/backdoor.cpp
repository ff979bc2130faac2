// PortBackdoor: the interface over the three functions of backdoor_x86_64.cpp or of
// backdoor_aarch64.cpp.
#include "core/backdoor.h"

#include <cstddef>

#include "core/privilege.h"
#include "core/wire.h"

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

void AbsentBackdoor::low(Registers& registers) {
  registers.rax = wire::UNKNOWN_COMMAND;
  registers.rcx = 0;  // nothing of MESSAGE succeeds
}

void PortBackdoor::low(Registers& registers) {
  vmtpy_backdoor_in(&registers);
}
void PortBackdoor::high_out(Registers& registers) {
  vmtpy_backdoor_outsb(&registers);
}
void PortBackdoor::high_in(Registers& registers) {
  vmtpy_backdoor_insb(&registers);
}

bool PortBackdoor::set_privilege(bool raised) {
  return set_io_privilege(raised) == 0;
}

namespace {

void with_privilege(Backdoor& ports, void (Backdoor::*trap)(Registers&), Registers& registers) {
  if (set_io_privilege(true) != 0) {
    registers = {};  // no status of a message is SUCCESS
    registers.rax = wire::UNKNOWN_COMMAND;
    return;
  }
  (ports.*trap)(registers);
  set_io_privilege(false);
}

}  // namespace

void PrivilegedPortBackdoor::low(Registers& registers) {
  with_privilege(ports_, &Backdoor::low, registers);
}
void PrivilegedPortBackdoor::high_out(Registers& registers) {
  with_privilege(ports_, &Backdoor::high_out, registers);
}
void PrivilegedPortBackdoor::high_in(Registers& registers) {
  with_privilege(ports_, &Backdoor::high_in, registers);
}

}  // namespace vmtpy
