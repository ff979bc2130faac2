// How long is an x86-64 instruction, and where does the program go on after it? Enough of a decoder
// to walk through a function from its first instruction to its last. Pure: bytes in, a value out.
// Used by emulator/ptrace/code_sites.h; tests compare it with objdump.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace vmtpy::emulator {

// What comes after it.
enum class Flow {
  NEXT,      // the next instruction
  BRANCH,    // the next one or the target (a call, too, comes back)
  JUMP,      // the target
  INDIRECT,  // a place that only the running program knows
  END,       // nothing: it returns, or traps
};

struct DecodedInstruction {
  std::size_t size = 0;
  Flow flow = Flow::NEXT;
  std::int64_t target = 0;  // of BRANCH and JUMP, counted from the start of this instruction
  bool locked = false;      // it has a lock prefix, behind which a jump may land
};

// Nothing where the bytes are no instruction in 64-bit mode, or end within it.
std::optional<DecodedInstruction> read_instruction(std::span<const std::uint8_t> code);

}  // namespace vmtpy::emulator
