// The in-process host: a Backdoor whose traps are answered by a Device in the same process.
#pragma once

#include <memory>
#include <utility>

#include "core/backdoor.h"
#include "host/device.h"

namespace vmtpy::host {

class EmulatedBackdoor final : public Backdoor {
 public:
  explicit EmulatedBackdoor(std::shared_ptr<Device> device) : device_(std::move(device)) {}
  void low(Registers& registers) override;
  void high_out(Registers& registers) override;
  void high_in(Registers& registers) override;

 private:
  std::shared_ptr<Device> device_;
};

}  // namespace vmtpy::host
