#include "host/cpuid.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

#include "host/machine.h"

#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID 0x1012
#endif

namespace vmtpy::host {

namespace {

constexpr std::uint32_t LEAF_FEATURES = 1;
constexpr std::uint32_t HYPERVISOR_PRESENT = 1u << 31;  // ecx of it
constexpr std::uint32_t LEAF_HYPERVISOR = 0x40000000;
constexpr std::uint32_t LEAF_VMWARE = 0x40000010;  // the last one: TSC and bus kHz, hypercalls
constexpr std::uint32_t LEAF_HYPERVISOR_END = 0x400000FF;
constexpr std::uint32_t BUS_KHZ = 66'000;
constexpr char VENDOR[] = "VMwareVMware";
// The bytes of the instruction also occur inside others; in a large text that becomes likely.
constexpr std::uint64_t MAX_PATCHED_TEXT = 256UL * 1024;

std::string proc(pid_t thread, const char* name) {
  return "/proc/" + std::to_string(thread) + "/" + name;
}

std::optional<std::pair<dev_t, ino_t>> executable(pid_t thread) {
  struct stat status {};
  if (stat(proc(thread, "exe").c_str(), &status) != 0) return std::nullopt;
  return std::pair(status.st_dev, status.st_ino);
}

}  // namespace

void Cpuid::program_started(Tracee& tracee, int& signal) {
  if (method_ == CpuidMethod::FAULT) {
    long result = tracee.system_call(SYS_arch_prctl, ARCH_SET_CPUID, 0, signal);
    // ENODEV: the processor cannot. ENOSYS: this one program cannot be asked (32 bit).
    if (result < 0 && result != -ENOSYS) method_ = CpuidMethod::PATCH;
  }
  if (method_ == CpuidMethod::PATCH) patch(tracee);
}

void Cpuid::let_go(Tracee& tracee, int& signal) {
  if (method_ == CpuidMethod::FAULT) tracee.system_call(SYS_arch_prctl, ARCH_SET_CPUID, 1, signal);
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

void Cpuid::patch(Tracee& tracee) {
  auto file = executable(tracee.thread());
  if (!file) return;
  patched_[*file];
  std::ifstream maps(proc(tracee.thread(), "maps"));
  std::string line;
  while (std::getline(maps, line)) {
    std::uint64_t start = 0, end = 0;
    std::uint64_t inode = 0;
    char rights[5] = "";
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64, &start, &end,
                    rights, &inode) != 4) {
      continue;
    }
    if (inode == file->second && rights[2] == 'x' && end - start <= MAX_PATCHED_TEXT) {
      patch_range(tracee, *file, start, end);
    }
  }
}

void Cpuid::patch_range(Tracee& tracee, const File& file, std::uint64_t start, std::uint64_t end) {
  std::string text(end - start, '\0');
  if (!tracee.read(start, text.data(), text.size())) return;
  constexpr std::string_view CPUID = "\x0F\xA2";
  for (std::size_t at = text.find(CPUID); at != std::string::npos; at = text.find(CPUID, at + 2)) {
    auto word = tracee.peek(start + at);
    if (!word) continue;
    if (tracee.poke(start + at, (*word & ~std::uint64_t{0xFFFF}) | 0x0B0F)) {
      patched_[file].insert(start + at);
    }
  }
}

bool Cpuid::patched(Tracee& tracee, std::uint64_t rip) const {
  if (method_ != CpuidMethod::PATCH) return false;
  auto file = executable(tracee.thread());
  auto found = file ? patched_.find(*file) : patched_.end();
  return found != patched_.end() && found->second.contains(rip);
}

}  // namespace vmtpy::host
