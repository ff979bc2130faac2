// Compares opcodes and registers with those of the backdoor. It relies on the numbers in
// wire/wire.h and on the magic in eax.
#include "emulator/ptrace/decode.h"

#include "wire/wire.h"

namespace vmtpy::emulator {

Faulted decode(const user_regs_struct& registers, const Code& code) {
  if (code[0] == 0x0F && code[1] == 0xA2) return Faulted::CPUID;
  if (static_cast<std::uint32_t>(registers.rax) != wire::MAGIC) return Faulted::OTHER;
  if (code == Code{0x0F, 0x01, 0xC1}) return Faulted::VMCALL;
  if (code == Code{0x0F, 0x01, 0xD9}) return Faulted::VMMCALL;
  auto port = static_cast<std::uint16_t>(registers.rdx);
  if (port == wire::PORT_LB && code[0] == 0xED) return Faulted::LOW;  // in eax, dx
  if (port != wire::PORT_HB || code[0] != 0xF3) return Faulted::OTHER;
  if (code[1] == 0x6E) return Faulted::HIGH_OUT;  // rep outsb
  if (code[1] == 0x6C) return Faulted::HIGH_IN;   // rep insb
  return Faulted::OTHER;
}

int instruction_size(Faulted faulted) {
  switch (faulted) {
    case Faulted::LOW:
      return 1;
    case Faulted::VMCALL:
    case Faulted::VMMCALL:
      return 3;
    default:
      return 2;
  }
}

}  // namespace vmtpy::emulator
