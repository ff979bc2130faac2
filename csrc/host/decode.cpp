#include "host/decode.h"

#include "core/wire.h"

namespace vmtpy::host {

Faulted decode(const user_regs_struct& registers, const Code& code) {
  if (code == Code{0x0F, 0xA2}) return Faulted::CPUID;
  if (static_cast<std::uint32_t>(registers.rax) != wire::MAGIC) return Faulted::OTHER;
  auto port = static_cast<std::uint16_t>(registers.rdx);
  if (code[0] == 0xED && port == wire::PORT_LB) return Faulted::LOW;                // in eax, dx
  if (code == Code{0xF3, 0x6E} && port == wire::PORT_HB) return Faulted::HIGH_OUT;  // rep outsb
  if (code == Code{0xF3, 0x6C} && port == wire::PORT_HB) return Faulted::HIGH_IN;   // rep insb
  return Faulted::OTHER;
}

int instruction_size(Faulted faulted) {
  return faulted == Faulted::LOW ? 1 : 2;
}

}  // namespace vmtpy::host
