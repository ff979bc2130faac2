// Gives any registers of a guest to an emulated host of any configuration. The host stays within
// the guest's memory and its own, and still answers afterwards.
#include <cstring>
#include <memory>
#include <vector>

#include "doubles/manual_clock.h"
#include "emulator/emulated_backdoor.h"
#include "fuzz.h"
#include "wire/rpci.h"

using namespace vmtpy;

namespace {

// The guest's memory. It lives in one run of the target.
class SmallMemory final : public emulator::GuestMemory {
 public:
  bool read(std::uint64_t address, void* into, std::size_t size) override {
    if (address > bytes_.size() || size > bytes_.size() - address) return false;
    std::memcpy(into, bytes_.data() + address, size);
    return true;
  }
  bool write(std::uint64_t address, const void* from, std::size_t size) override {
    if (address > bytes_.size() || size > bytes_.size() - address) return false;
    std::memcpy(bytes_.data() + address, from, size);
    return true;
  }

 private:
  std::vector<char> bytes_ = std::vector<char>(70'000);
};

emulator::DeviceOptions options(FuzzedDataProvider& input) {
  emulator::DeviceOptions options;
  options.high_bandwidth = input.ConsumeBool();
  options.cookies = input.ConsumeBool();
  options.checkpoint_every = input.ConsumeIntegralInRange(0, 5);
  options.dirty_upper_halves = input.ConsumeBool();
  return options;
}

wire::Registers registers(FuzzedDataProvider& input, emulator::Instruction instruction) {
  wire::Registers made;
  const auto any = [&input] { return input.ConsumeIntegral<std::uint64_t>(); };
  const bool low = instruction == emulator::Instruction::LOW;
  made.rax = wire::MAGIC;
  made.rbx = input.ConsumeBool() ? std::uint64_t(wire::SUCCESS) << 16 : any();
  made.rcx = input.ConsumeIntegralInRange<std::uint64_t>(0, low ? 8 : 70'000);
  if (low) made.rcx = made.rcx << 16 | wire::MESSAGE;
  made.rdx = input.ConsumeIntegralInRange<std::uint64_t>(0, 3) << 16 |
             (low ? wire::PORT_LB : wire::PORT_HB);
  if (input.ConsumeIntegralInRange(0, 7) == 0) {
    made = {any(), any(), any(), any(), any(), any(), any()};
  }
  return made;
}

std::uint64_t with_flags(std::uint64_t rdx, emulator::Instruction instruction) {
  unsigned flags = instruction == emulator::Instruction::LOW ? 0 : wire::FLAG_HB;
  if (instruction == emulator::Instruction::HIGH_OUT) flags |= wire::FLAG_OUT;
  return (rdx & ~std::uint64_t{0xFFFF}) | flags;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16384) return -1;
  FuzzedDataProvider input(data, size);
  doubles::ManualClock clock;
  const emulator::DeviceOptions configuration = options(input);
  const auto device = std::make_shared<emulator::Device>(clock, configuration);
  SmallMemory memory;
  while (input.remaining_bytes() > 0) {
    const auto instruction = static_cast<emulator::Instruction>(input.ConsumeIntegralInRange(0, 2));
    if (input.ConsumeIntegralInRange(0, 15) == 0)
      device->send_command(input.ConsumeRandomLengthString());
    wire::Registers trapped = registers(input, instruction);
    if (input.ConsumeIntegralInRange(0, 3) != 0) {
      device->trap(instruction, trapped, memory);
    } else {  // the same by hypercall, sometimes with the port in place of the flags
      if (input.ConsumeIntegralInRange(0, 7) != 0)
        trapped.rdx = with_flags(trapped.rdx, instruction);
      device->hypercall(emulator::Carrier::VMMCALL, trapped, memory);
    }
  }
  check(device->open_channels() <= wire::MAX_CHANNELS, "no more channels are open than a host has");
  device->lose_channels();
  if (configuration.checkpoint_every > 0) return 0;  // too many checkpoints are rightly an error
  emulator::EmulatedBackdoor backdoor(device);
  wire::Rpci rpci(backdoor);
  check(rpci.call("log still here").ok, "the host still answers");
  return 0;
}
