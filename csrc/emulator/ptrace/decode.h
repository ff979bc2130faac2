// Which of the instructions that a host answers has a program faulted on? Pure: registers and the
// bytes at rip in, a kind out. Used by emulator/ptrace/trap.h.
#pragma once

#include <sys/user.h>

#include <array>
#include <cstdint>

namespace vmtpy::emulator {

enum class Faulted { OTHER, LOW, HIGH_OUT, HIGH_IN, VMCALL, VMMCALL, CPUID };

using Code = std::array<std::uint8_t, 3>;  // zeros where there is no more text

Faulted decode(const user_regs_struct& registers, const Code& code);
int instruction_size(Faulted faulted);

}  // namespace vmtpy::emulator
