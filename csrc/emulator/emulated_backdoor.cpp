// Passes the registers to the Device, with this process's own memory as the guest's. It relies on
// the Device's lock.
#include "emulator/emulated_backdoor.h"

#include <cstring>

namespace vmtpy::emulator {

namespace {

// The memory of this process. It lives in one trap.
class OwnMemory final : public GuestMemory {
 public:
  bool read(std::uint64_t address, void* into, std::size_t size) override {
    if (address == 0) return false;
    std::memcpy(into, reinterpret_cast<const void*>(address), size);
    return true;
  }
  bool write(std::uint64_t address, const void* from, std::size_t size) override {
    if (address == 0) return false;
    std::memcpy(reinterpret_cast<void*>(address), from, size);
    return true;
  }
};

}  // namespace

void EmulatedBackdoor::low(wire::Registers& registers) {
  OwnMemory memory;
  device_->trap(Instruction::LOW, registers, memory);
}

void EmulatedBackdoor::high_out(wire::Registers& registers) {
  OwnMemory memory;
  device_->trap(Instruction::HIGH_OUT, registers, memory);
}

void EmulatedBackdoor::high_in(wire::Registers& registers) {
  OwnMemory memory;
  device_->trap(Instruction::HIGH_IN, registers, memory);
}

void EmulatedHypercall::call(wire::Registers& registers) {
  OwnMemory memory;
  device_->hypercall(carrier_, registers, memory);
}

}  // namespace vmtpy::emulator
