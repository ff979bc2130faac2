// Answers CPUID from the real processor, with VMware's signature and leaves in place of the
// machine's.
#include "emulator/ptrace/cpuid.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <sys/syscall.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "base/errors.h"
#include "emulator/machine.h"

#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID 0x1012
#endif

namespace vmtpy::emulator {

namespace {

constexpr std::uint32_t LEAF_FEATURES = 1;
constexpr std::uint32_t HYPERVISOR_PRESENT = 1u << 31;  // in ecx of that leaf
constexpr std::uint32_t LEAF_HYPERVISOR = 0x40000000;
// VMware's last leaf: TSC and bus in kHz, hypercalls
constexpr std::uint32_t LEAF_VMWARE = 0x40000010;
constexpr std::uint32_t LEAF_HYPERVISOR_END = 0x400000FF;
constexpr std::uint32_t BUS_KHZ = 66'000;
constexpr char VENDOR[] = "VMwareVMware";

}  // namespace

CpuidMethod default_cpuid_method() {
  const char* wanted = std::getenv("VMTPY_EMULATE_CPUID");  // NOLINT(concurrency-mt-unsafe)
  std::string_view method = wanted == nullptr ? "" : wanted;
  if (method == "patch") return CpuidMethod::PATCH;
  if (method.empty() || method == "fault") return CpuidMethod::FAULT;
  throw Error("VMTPY_EMULATE_CPUID is \"" + std::string(method) +
              "\": set it to \"fault\" or \"patch\"");
}

void Cpuid::program_started(Tracee& tracee, int& signal) {
  if (method_ == CpuidMethod::FAULT) {
    long result = tracee.system_call(SYS_arch_prctl, ARCH_SET_CPUID, 0, signal);
    // ENODEV means that the processor cannot fault on CPUID. ENOSYS means that this one program
    // cannot be asked (32 bit).
    if (result < 0 && result != -ENOSYS) method_ = CpuidMethod::PATCH;
  }
  if (method_ == CpuidMethod::PATCH) patches_.apply(tracee);
}

void Cpuid::let_go(Tracee& tracee, int& signal) {
  if (method_ == CpuidMethod::FAULT) tracee.system_call(SYS_arch_prctl, ARCH_SET_CPUID, 1, signal);
  if (method_ == CpuidMethod::PATCH) patches_.remove(tracee);
}

void Cpuid::answer(user_regs_struct& registers) const {
  auto leaf = static_cast<std::uint32_t>(registers.rax);
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (leaf == LEAF_HYPERVISOR) {
    eax = LEAF_VMWARE;
    std::memcpy(&ebx, VENDOR, 4);
    std::memcpy(&ecx, VENDOR + 4, 4);
    std::memcpy(&edx, VENDOR + 8, 4);
  } else if (leaf == LEAF_VMWARE) {
    eax = static_cast<std::uint32_t>(tsc_hz() / 1000);
    ebx = BUS_KHZ;
    ecx = hypercalls_;
  } else if (leaf < LEAF_HYPERVISOR || leaf > LEAF_HYPERVISOR_END) {
    __cpuid_count(leaf, static_cast<std::uint32_t>(registers.rcx), eax, ebx, ecx, edx);
    if (leaf == LEAF_FEATURES) ecx |= HYPERVISOR_PRESENT;
  }
  registers.rax = eax;
  registers.rbx = ebx;
  registers.rcx = ecx;
  registers.rdx = edx;
}

bool Cpuid::patched(Tracee& tracee, std::uint64_t rip) {
  if (method_ != CpuidMethod::PATCH) return false;
  auto site = patches_.find(tracee, rip);
  return site && site->site == Site::CPUID;
}

bool Cpuid::libraries_mapped(Tracee& tracee, user_regs_struct& registers) {
  if (method_ != CpuidMethod::PATCH) return false;
  std::uint64_t start = registers.rip - 1;
  auto site = patches_.find(tracee, start);
  if (!site || site->site != Site::LINKER) return false;
  registers.rip = start + site->to_return;
  if (site->to_return == 0) {  // the ret itself was overwritten
    if (!tracee.read(registers.rsp, &registers.rip, sizeof registers.rip)) return false;
    registers.rsp += sizeof registers.rip;
  }
  patches_.apply(tracee);
  return true;
}

}  // namespace vmtpy::emulator
