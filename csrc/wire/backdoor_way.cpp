// Makes the Backdoor for a way. It relies on the probe's word that the way works, and on CPUID for
// the high bandwidth.
#include "wire/backdoor_way.h"

#include "wire/hypercall.h"

namespace vmtpy::wire {

std::unique_ptr<Backdoor> make_backdoor(BackdoorWay way, const Cpu& cpu) {
  bool high_bandwidth = cpu.encrypted.empty();
  switch (way) {
    case BackdoorWay::PORT:
      return std::make_unique<PortBackdoor>(high_bandwidth);
    case BackdoorWay::PRIVILEGED_PORT:
      return std::make_unique<PrivilegedPortBackdoor>(high_bandwidth);
    case BackdoorWay::VMCALL:
      return std::make_unique<VmcallBackdoor>(high_bandwidth);
    case BackdoorWay::VMMCALL:
      return std::make_unique<VmmcallBackdoor>(high_bandwidth);
    case BackdoorWay::NONE:
      break;
  }
  return nullptr;
}

}  // namespace vmtpy::wire
