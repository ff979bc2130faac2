// What the processor says of the machine in which it is, by CPUID. These are plain facts, which
// wire/probe.h judges. They are empty on processors without CPUID.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace vmtpy::wire {

struct CpuidLeaf {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};
using Cpuid = std::function<CpuidLeaf(std::uint32_t leaf)>;  // reads subleaf 0

struct Cpu {
  bool is_virtual = false;  // a hypervisor announces itself
  std::string hypervisor;   // its signature: "VMwareVMware", "KVMKVMKVM"; "" for none
  bool vmcall = false;      // VMware's hypercall works by vmcall
  bool vmmcall = false;     // VMware's hypercall works by vmmcall
  std::string encrypted;    // "SEV" or "TDX" where the host cannot read the guest's memory, else ""
};

// Bits of VMware's leaf 0x40000010, in ecx.
inline constexpr std::uint32_t CPUID_VMMCALL = 1U << 0;
inline constexpr std::uint32_t CPUID_VMCALL = 1U << 1;

Cpu read_cpu(const Cpuid& cpuid);
Cpu read_cpu();  // reads this processor

}  // namespace vmtpy::wire
