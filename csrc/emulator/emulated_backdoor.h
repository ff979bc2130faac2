// Backdoors whose traps a Device in the same process answers. They serve tests and Python programs
// that play both sides.
#pragma once

#include <memory>
#include <utility>

#include "emulator/device.h"
#include "wire/backdoor.h"
#include "wire/hypercall.h"

namespace vmtpy::emulator {

// Owned by whoever makes the agent or the channel. It keeps its Device alive, and any thread may
// call it.
class EmulatedBackdoor final : public wire::Backdoor {
 public:
  explicit EmulatedBackdoor(std::shared_ptr<Device> device, bool high_bandwidth = true)
      : device_(std::move(device)), high_bandwidth_(high_bandwidth) {}
  void low(wire::Registers& registers) override;
  void high_out(wire::Registers& registers) override;
  void high_in(wire::Registers& registers) override;
  bool high_bandwidth() const override { return high_bandwidth_; }

 private:
  std::shared_ptr<Device> device_;
  const bool high_bandwidth_;
};

// A hypercall whose guest's half is the real one, wire/hypercall.h. Only the instruction is
// replaced. It is owned and used like EmulatedBackdoor.
class EmulatedHypercall final : public wire::HypercallBackdoor {
 public:
  EmulatedHypercall(std::shared_ptr<Device> device, Carrier carrier, bool high_bandwidth)
      : wire::HypercallBackdoor(high_bandwidth), device_(std::move(device)), carrier_(carrier) {}

 protected:
  void call(wire::Registers& registers) override;

 private:
  std::shared_ptr<Device> device_;
  const Carrier carrier_;
};

}  // namespace vmtpy::emulator
