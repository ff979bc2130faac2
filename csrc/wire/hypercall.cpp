// The hypercalls, by the two functions of backdoor_x86_64.cpp. It relies on CPUID having announced
// the instruction.
#include "wire/hypercall.h"

#include "linux/io_privilege.h"
#include "wire/wire.h"

#ifdef __x86_64__
extern "C" {
void vmtpy_backdoor_vmcall(vmtpy::wire::Registers* registers);
void vmtpy_backdoor_vmmcall(vmtpy::wire::Registers* registers);
}
#endif

namespace vmtpy::wire {
namespace {

void set_flags(Registers& registers, std::uint16_t flags) {
  registers.rdx = (registers.rdx & ~std::uint64_t{0xFFFF}) | flags;
}

}  // namespace

void HypercallBackdoor::low(Registers& registers) {
  set_flags(registers, 0);
  call(registers);
}
void HypercallBackdoor::high_out(Registers& registers) {
  set_flags(registers, wire::FLAG_HB | wire::FLAG_OUT);
  call(registers);
}
void HypercallBackdoor::high_in(Registers& registers) {
  set_flags(registers, wire::FLAG_HB);
  call(registers);
}

bool HypercallBackdoor::set_privilege(bool raised) {
  return linux::set_io_privilege(raised) == 0;
}

#ifdef __x86_64__
void VmcallBackdoor::call(Registers& registers) {
  vmtpy_backdoor_vmcall(&registers);
}
void VmmcallBackdoor::call(Registers& registers) {
  vmtpy_backdoor_vmmcall(&registers);
}
#else
// Only x86 processors have these instructions, and other processors announce none. Here every
// command is unknown.
void VmcallBackdoor::call(Registers& registers) {
  registers = {};
  registers.rax = wire::UNKNOWN_COMMAND;
}
void VmmcallBackdoor::call(Registers& registers) {
  registers = {};
  registers.rax = wire::UNKNOWN_COMMAND;
}
#endif

}  // namespace vmtpy::wire
