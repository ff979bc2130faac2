// PortBackdoor and PrivilegedPortBackdoor, by the three functions of backdoor_x86_64.cpp or
// backdoor_aarch64.cpp.
#include "wire/backdoor.h"

#include <cstddef>

#include "linux/io_privilege.h"
#include "wire/wire.h"

// The assembly reads and writes Registers by these offsets.
static_assert(offsetof(vmtpy::wire::Registers, rax) == 0 &&
              offsetof(vmtpy::wire::Registers, rbx) == 8 &&
              offsetof(vmtpy::wire::Registers, rcx) == 16 &&
              offsetof(vmtpy::wire::Registers, rdx) == 24 &&
              offsetof(vmtpy::wire::Registers, rsi) == 32 &&
              offsetof(vmtpy::wire::Registers, rdi) == 40 &&
              offsetof(vmtpy::wire::Registers, rbp) == 48);

extern "C" {
void vmtpy_backdoor_in(vmtpy::wire::Registers* registers);
void vmtpy_backdoor_outsb(vmtpy::wire::Registers* registers);
void vmtpy_backdoor_insb(vmtpy::wire::Registers* registers);
}

namespace vmtpy::wire {

void AbsentBackdoor::low(Registers& registers) {
  registers.rax = wire::UNKNOWN_COMMAND;
  registers.rcx = 0;  // no step of a MESSAGE succeeds
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
  return linux::set_io_privilege(raised) == 0;
}

namespace {

void with_privilege(Backdoor& ports, void (Backdoor::*trap)(Registers&), Registers& registers) {
  if (linux::set_io_privilege(true) != 0) {
    registers = {};  // no step of a message succeeds
    registers.rax = wire::UNKNOWN_COMMAND;
    return;
  }
  (ports.*trap)(registers);
  linux::set_io_privilege(false);
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

}  // namespace vmtpy::wire
