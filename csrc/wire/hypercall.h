// The backdoor by hypercall. Its registers are those of the ports, except that flags in the low
// half of edx stand for the number of the port. I/O privilege has no effect on it. Newer hosts
// announce by CPUID which instruction they take (wire/cpu.h); elsewhere the instruction faults. It
// serves wire/backdoor_way.h.
#pragma once

#include "wire/backdoor.h"

namespace vmtpy::wire {

// Owned and used like every Backdoor (wire/backdoor.h). It sets the flags; the derived classes have
// the instruction.
class HypercallBackdoor : public Backdoor {
 public:
  explicit HypercallBackdoor(bool high_bandwidth) : high_bandwidth_(high_bandwidth) {}
  void low(Registers& registers) final;
  void high_out(Registers& registers) final;
  void high_in(Registers& registers) final;
  bool set_privilege(bool raised) override;
  bool high_bandwidth() const final { return high_bandwidth_; }

 protected:
  virtual void call(Registers& registers) = 0;  // executes the instruction

 private:
  const bool high_bandwidth_;
};

// The hypercall by Intel's instruction.
class VmcallBackdoor final : public HypercallBackdoor {
 public:
  using HypercallBackdoor::HypercallBackdoor;

 protected:
  void call(Registers& registers) override;
};

// The hypercall by AMD's instruction.
class VmmcallBackdoor final : public HypercallBackdoor {
 public:
  using HypercallBackdoor::HypercallBackdoor;

 protected:
  void call(Registers& registers) override;
};

}  // namespace vmtpy::wire
