// The in-process host: Backdoors whose traps are answered by a Device in the same process.
#pragma once

#include <memory>
#include <utility>

#include "core/backdoor.h"
#include "core/hypercall.h"
#include "host/device.h"

namespace vmtpy::host {

class EmulatedBackdoor final : public Backdoor {
 public:
  explicit EmulatedBackdoor(std::shared_ptr<Device> device, bool high_bandwidth = true)
      : device_(std::move(device)), high_bandwidth_(high_bandwidth) {}
  void low(Registers& registers) override;
  void high_out(Registers& registers) override;
  void high_in(Registers& registers) override;
  bool high_bandwidth() const override { return high_bandwidth_; }

 private:
  std::shared_ptr<Device> device_;
  const bool high_bandwidth_;
};

// The guest's half is the real one, core/hypercall.h: only the instruction is ours.
class EmulatedHypercall final : public HypercallBackdoor {
 public:
  EmulatedHypercall(std::shared_ptr<Device> device, Carrier carrier, bool high_bandwidth)
      : HypercallBackdoor(high_bandwidth), device_(std::move(device)), carrier_(carrier) {}

 protected:
  void call(Registers& registers) override;

 private:
  std::shared_ptr<Device> device_;
  const Carrier carrier_;
};

}  // namespace vmtpy::host
