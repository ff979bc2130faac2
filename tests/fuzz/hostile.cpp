// A host that answers each trap with any register values and any bytes. The guest's side of the
// wire may only answer or throw its own errors, within a bounded number of traps.
#include <algorithm>

#include "base/errors.h"
#include "fuzz.h"
#include "wire/channel.h"
#include "wire/hardware.h"
#include "wire/probe.h"
#include "wire/rpci.h"
#include "wire/tclo.h"

using namespace vmtpy;

namespace {

constexpr int MOST_TRAPS = 2'000'000;

// Answers traps from the input. It lives in one run of the target.
class HostileBackdoor final : public wire::Backdoor {
 public:
  explicit HostileBackdoor(FuzzedDataProvider& input) : input_(input) {}

  void low(wire::Registers& registers) override {
    count();
    if (input_.ConsumeIntegralInRange(0, 15) == 0) return scramble(registers);
    // This answer is close enough to the protocol to get further.
    const auto status = std::uint64_t(
        input_.ConsumeBool() ? wire::SUCCESS : input_.ConsumeIntegral<std::uint8_t>());
    const bool more = input_.ConsumeBool();
    const bool high_bandwidth = input_.ConsumeBool();
    const auto extra = (more ? wire::DORECV : 0u) | (high_bandwidth ? wire::HB : 0u);
    registers.rcx = (registers.rcx & 0xffff) | (status | extra) << 16;
    registers.rbx = input_.ConsumeIntegralInRange<std::uint32_t>(0, 80'000);
    registers.rdx = input_.ConsumeIntegralInRange<std::uint64_t>(0, 3) << 16;
  }

  void high_out(wire::Registers& registers) override {
    count();
    sum_ = bytes(registers.rsi, registers.rcx);  // ASan checks that all bytes are the guest's own
    finish(registers);
  }

  void high_in(wire::Registers& registers) override {
    count();
    auto* into = reinterpret_cast<std::uint8_t*>(registers.rdi);
    std::fill_n(into, registers.rcx, input_.ConsumeIntegral<std::uint8_t>());
    finish(registers);
  }

 private:
  void count() { check(++traps_ < MOST_TRAPS, "a call ends within a bounded number of traps"); }

  static unsigned bytes(std::uint64_t address, std::uint64_t size) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(address);
    unsigned sum = 0;
    for (std::uint64_t i = 0; i < size; ++i) sum += from[i];
    return sum;
  }

  void finish(wire::Registers& registers) {
    if (input_.ConsumeIntegralInRange(0, 7) == 0) return scramble(registers);
    registers.rbx = std::uint64_t(wire::SUCCESS) << 16;
    registers.rcx = 0;
  }

  void scramble(wire::Registers& registers) {
    for (std::uint64_t* value : {&registers.rax, &registers.rbx, &registers.rcx, &registers.rdx,
                                 &registers.rsi, &registers.rdi, &registers.rbp}) {
      *value = input_.ConsumeIntegral<std::uint64_t>();
    }
  }

  FuzzedDataProvider& input_;
  int traps_ = 0;
  volatile unsigned sum_ = 0;
};

void converse(FuzzedDataProvider& input, wire::Rpci& rpci, wire::Tclo& tclo,
              wire::Backdoor& backdoor) {
  const auto choice = input.ConsumeIntegralInRange(0, 7);
  if (choice == 0) wire::read_hardware(backdoor);
  if (choice == 1) wire::read_host_time(backdoor);
  if (choice == 2) wire::probe(backdoor);
  if (choice > 2 && choice < 6) rpci.call(input.ConsumeRandomLengthString());
  if (choice > 5 && tclo.poll()) tclo.answer("OK ");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 65536) return -1;
  FuzzedDataProvider input(data, size);
  HostileBackdoor backdoor(input);
  wire::ChannelOptions options;
  options.high_bandwidth = input.ConsumeBool();
  wire::Rpci rpci(backdoor, options);
  wire::Tclo tclo(backdoor, options);
  for (int turn = 0; turn < 64 && input.remaining_bytes() > 0; ++turn) {
    try {
      converse(input, rpci, tclo, backdoor);
      // The error says what is wrong, and the next call opens the channel again.
    } catch (const Error&) {
    }
  }
  return 0;
}
