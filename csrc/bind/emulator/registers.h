// Registers as a dict of ints in Python. It serves the bindings of Device and RecordingBackdoor,
// for tests that look at a single trap.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "wire/backdoor.h"

namespace vmtpy::bind {

using RegisterMap = std::map<std::string, std::uint64_t>;

inline const std::map<std::string, std::uint64_t wire::Registers::*> REGISTERS = {
    {"rax", &wire::Registers::rax}, {"rbx", &wire::Registers::rbx}, {"rcx", &wire::Registers::rcx},
    {"rdx", &wire::Registers::rdx}, {"rsi", &wire::Registers::rsi}, {"rdi", &wire::Registers::rdi},
    {"rbp", &wire::Registers::rbp}};

inline RegisterMap to_map(const wire::Registers& registers) {
  RegisterMap map;
  for (const auto& [name, member] : REGISTERS) map[name] = registers.*member;
  return map;
}

// Registers that `map` leaves out are zero, and unknown names are ignored.
inline wire::Registers to_registers(const RegisterMap& map) {
  wire::Registers registers{};
  for (const auto& [name, value] : map) {
    const auto found = REGISTERS.find(name);
    if (found != REGISTERS.end()) registers.*found->second = value;
  }
  return registers;
}

}  // namespace vmtpy::bind
