// The backdoor by hypercall: the same registers as by the ports, but for the low half of edx, which
// says by flags what the number of the port says there. No I/O privilege has to do with it. Newer
// hosts announce by CPUID which instruction they take (wire/cpu.h); elsewhere it faults.
#pragma once

#include "wire/backdoor.h"

namespace vmtpy::wire {

class HypercallBackdoor : public Backdoor {
 public:
  explicit HypercallBackdoor(bool high_bandwidth) : high_bandwidth_(high_bandwidth) {}
  void low(Registers& registers) final;
  void high_out(Registers& registers) final;
  void high_in(Registers& registers) final;
  bool set_privilege(bool raised) override;
  bool high_bandwidth() const final { return high_bandwidth_; }

 protected:
  virtual void call(Registers& registers) = 0;  // the instruction

 private:
  const bool high_bandwidth_;
};

class VmcallBackdoor final : public HypercallBackdoor {
 public:
  using HypercallBackdoor::HypercallBackdoor;

 protected:
  void call(Registers& registers) override;
};

class VmmcallBackdoor final : public HypercallBackdoor {
 public:
  using HypercallBackdoor::HypercallBackdoor;

 protected:
  void call(Registers& registers) override;
};

}  // namespace vmtpy::wire
