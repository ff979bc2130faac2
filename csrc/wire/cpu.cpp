// Reads CPUID's leaves. It relies on the layouts that Intel, AMD and VMware document, and only on
// leaves that the processor has.
#include "wire/cpu.h"

#include <cstring>

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace vmtpy::wire {
namespace {

// Leaves of CPUID, and the bits in them.
constexpr std::uint32_t LARGEST = 0;  // eax: the last leaf of this range
constexpr std::uint32_t FEATURES = 1;
constexpr std::uint32_t HYPERVISOR_PRESENT = 1U << 31;  // ecx
constexpr std::uint32_t TDX = 0x21;
constexpr std::uint32_t HYPERVISOR = 0x40000000;  // eax: the last leaf of this range
constexpr std::uint32_t VMWARE_HYPERCALLS = 0x40000010;
constexpr std::uint32_t LARGEST_EXTENDED = 0x80000000;  // eax: the last leaf of this range
constexpr std::uint32_t ENCRYPTION = 0x8000001F;
constexpr std::uint32_t SEV = 1U << 1;  // eax

// A signature is twelve characters in three registers.
std::string signature(std::uint32_t first, std::uint32_t second, std::uint32_t third) {
  char text[13] = {};
  std::memcpy(text, &first, 4);
  std::memcpy(text + 4, &second, 4);
  std::memcpy(text + 8, &third, 4);
  return text;
}

// Returns how the guest is encrypted. A host shows SEV's bit to the guests that it encrypts. Where
// a host shows the bit to another guest, that guest loses the high bandwidth and nothing else.
std::string encryption(const Cpuid& cpuid) {
  if (cpuid(LARGEST).eax >= TDX) {
    CpuidLeaf leaf = cpuid(TDX);
    if (signature(leaf.ebx, leaf.edx, leaf.ecx) == "IntelTDX    ") return "TDX";
  }
  if (cpuid(LARGEST_EXTENDED).eax >= ENCRYPTION && (cpuid(ENCRYPTION).eax & SEV) != 0) return "SEV";
  return "";
}

#ifdef __x86_64__
CpuidLeaf real_cpuid(std::uint32_t leaf) {
  CpuidLeaf got;
  __cpuid_count(leaf, 0, got.eax, got.ebx, got.ecx, got.edx);
  return got;
}
#endif

}  // namespace

Cpu read_cpu(const Cpuid& cpuid) {
  Cpu cpu;
  cpu.is_virtual = (cpuid(FEATURES).ecx & HYPERVISOR_PRESENT) != 0;
  if (!cpu.is_virtual) return cpu;  // without a hypervisor the leaves may hold anything
  CpuidLeaf leaf = cpuid(HYPERVISOR);
  cpu.hypervisor = signature(leaf.ebx, leaf.ecx, leaf.edx);
  if (cpu.hypervisor == "VMwareVMware" && leaf.eax >= VMWARE_HYPERCALLS) {
    std::uint32_t usable = cpuid(VMWARE_HYPERCALLS).ecx;
    cpu.vmmcall = (usable & CPUID_VMMCALL) != 0;
    cpu.vmcall = (usable & CPUID_VMCALL) != 0;
  }
  cpu.encrypted = encryption(cpuid);
  return cpu;
}

Cpu read_cpu() {
#ifdef __x86_64__
  return read_cpu(real_cpuid);
#else
  return {};
#endif
}

}  // namespace vmtpy::wire
