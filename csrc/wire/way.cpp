#include "wire/way.h"

#include "wire/hypercall.h"

namespace vmtpy::wire {

std::unique_ptr<Backdoor> make_backdoor(Way way, const Cpu& cpu) {
  bool high_bandwidth = cpu.encrypted.empty();
  switch (way) {
    case Way::PORT:
      return std::make_unique<PortBackdoor>(high_bandwidth);
    case Way::PRIVILEGED_PORT:
      return std::make_unique<PrivilegedPortBackdoor>(high_bandwidth);
    case Way::VMCALL:
      return std::make_unique<VmcallBackdoor>(high_bandwidth);
    case Way::VMMCALL:
      return std::make_unique<VmmcallBackdoor>(high_bandwidth);
    case Way::NONE:
      break;
  }
  return nullptr;
}

}  // namespace vmtpy::wire
