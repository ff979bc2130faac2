// CPUID as a VMware guest sees it, because programs of open-vm-tools look there first and refuse
// any other hypervisor. There are two ways to be asked. The processor faults on the instruction
// (arch_prctl(2), ARCH_SET_CPUID: set anew after every exec, inherited by children and threads).
// Where the processor cannot, the instruction is overwritten and the SIGILL answered
// (emulator/ptrace/code_patches.h). This serves emulator/ptrace/tracer.h.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <atomic>
#include <cstdint>

#include "emulator/ptrace/code_patches.h"
#include "emulator/ptrace/tracee.h"

namespace vmtpy::emulator {

enum class CpuidMethod { NONE, FAULT, PATCH };

// Returns FAULT, unless the environment's VMTPY_EMULATE_CPUID says "patch". Throws Error for a
// value that is neither "patch", "fault" nor empty.
CpuidMethod default_cpuid_method();

// Owned by the Tracer, used by the tracing thread except for method(), and as long-lived as the
// trace.
class Cpuid {
 public:
  // `hypercalls` are the bits in ecx of VMware's leaf.
  Cpuid(CpuidMethod wanted, std::uint32_t hypercalls) : method_(wanted), hypercalls_(hypercalls) {}
  CpuidMethod method() const { return method_; }

  // Called at each exec, in its ptrace-stop.
  void program_started(Tracee& tracee, int& signal);
  // Called before a detach. Without it CPUID would trap for the rest of the program's life.
  void let_go(Tracee& tracee, int& signal);
  // Says whether the thread stopped on a ud2 that stands for CPUID.
  bool patched(Tracee& tracee, std::uint64_t rip);
  // Says whether the thread stopped on an int3 that stands in the linker's function. Then it sets
  // the registers so that the program goes on as without the int3.
  bool libraries_mapped(Tracee& tracee, user_regs_struct& registers);

  void answer(user_regs_struct& registers) const;

 private:
  std::atomic<CpuidMethod> method_;
  const std::uint32_t hypercalls_;
  CodePatches patches_;
};

}  // namespace vmtpy::emulator
