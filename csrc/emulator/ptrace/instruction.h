// Tells how long an x86-64 instruction is and where the program goes on after it. This is enough of
// a decoder to walk through a function from its first instruction to its last. The result depends
// only on the bytes. It serves emulator/ptrace/code_sites.h; tests compare it with objdump.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace vmtpy::emulator {

// What the program executes after an instruction.
enum class Flow {
  NEXT,      // the next instruction
  BRANCH,    // the next one or the target (a call also comes back)
  JUMP,      // the target
  INDIRECT,  // a place that only the running program knows
  END,       // nothing: the instruction returns or traps
};

struct DecodedInstruction {
  std::size_t size = 0;
  Flow flow = Flow::NEXT;
  // The target of BRANCH and JUMP, counted from the start of this instruction.
  std::int64_t target = 0;
  bool locked = false;  // it has a lock prefix, and a jump may land behind the prefix
};

// Returns nothing where the bytes are no instruction in 64-bit mode, and where they end within one.
std::optional<DecodedInstruction> read_instruction(std::span<const std::uint8_t> code);

}  // namespace vmtpy::emulator
