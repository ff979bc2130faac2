// What the processor says of the machine that it is in, by CPUID: plain facts, judged elsewhere
// (wire/probe.h). Empty on processors without CPUID.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace vmtpy::wire {

struct CpuidLeaf {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};
using Cpuid = std::function<CpuidLeaf(std::uint32_t leaf)>;  // of subleaf 0

struct Cpu {
  bool is_virtual = false;  // a hypervisor announces itself
  std::string hypervisor;   // by this signature: "VMwareVMware", "KVMKVMKVM"; "" for none
  bool vmcall = false;      // VMware's hypercall may be made by this instruction
  bool vmmcall = false;     // or by this one
  std::string encrypted;    // "SEV", "TDX": the host cannot read our memory; "" where it can
};

// Bits of VMware's leaf 0x40000010, in ecx.
inline constexpr std::uint32_t CPUID_VMMCALL = 1U << 0;
inline constexpr std::uint32_t CPUID_VMCALL = 1U << 1;

Cpu read_cpu(const Cpuid& cpuid);
Cpu read_cpu();  // of this processor

}  // namespace vmtpy::wire
