// CPUID as a VMware guest sees it. Programs of open-vm-tools look there first and refuse any other
// hypervisor. Two ways to be asked: the processor faults on the instruction (arch_prctl(2),
// ARCH_SET_CPUID: set anew after every exec, inherited by children and threads), or, where it
// cannot, the instruction is overwritten and the SIGILL answered (emulator/ptrace/code_patches.h).
// Used by the tracing thread of emulator/ptrace/trap.h.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <atomic>
#include <cstdint>

#include "emulator/ptrace/code_patches.h"
#include "emulator/ptrace/tracee.h"

namespace vmtpy::emulator {

enum class CpuidMethod { NONE, FAULT, PATCH };

// FAULT, unless the environment's VMTPY_EMULATE_CPUID says "patch". Throws Error for what is
// neither that nor "fault" nor empty.
CpuidMethod default_cpuid_method();

class Cpuid {
 public:
  // `hypercalls`: the bits in ecx of VMware's leaf.
  Cpuid(CpuidMethod wanted, std::uint32_t hypercalls) : method_(wanted), hypercalls_(hypercalls) {}
  CpuidMethod method() const { return method_; }

  // To be called at each exec, in its ptrace-stop.
  void program_started(Tracee& tracee, int& signal);
  // To be called before a detach: CPUID would trap for the rest of the program's life.
  void let_go(Tracee& tracee, int& signal);
  // Is the ud2 on which it stopped one of ours?
  bool patched(Tracee& tracee, std::uint64_t rip);
  // Is the int3 on which it stopped ours? Then the registers are as after it was not there.
  bool libraries_mapped(Tracee& tracee, user_regs_struct& registers);

  void answer(user_regs_struct& registers) const;

 private:
  std::atomic<CpuidMethod> method_;
  const std::uint32_t hypercalls_;
  CodePatches patches_;
};

}  // namespace vmtpy::emulator
