// Tells on which of the host's instructions a program has faulted. The result depends only on the
// registers and on the bytes at rip. It serves emulator/ptrace/tracer.h.
#pragma once

#include <sys/user.h>

#include <array>
#include <cstdint>

namespace vmtpy::emulator {

enum class Faulted { OTHER, LOW, HIGH_OUT, HIGH_IN, VMCALL, VMMCALL, CPUID };

using Code = std::array<std::uint8_t, 3>;  // zeros after the end of the text

Faulted decode(const user_regs_struct& registers, const Code& code);
int instruction_size(Faulted faulted);

}  // namespace vmtpy::emulator
