// CPUID as a VMware guest sees it. Programs of open-vm-tools look there first and refuse any other
// hypervisor. Two ways to be asked: the processor faults on the instruction (arch_prctl(2),
// ARCH_SET_CPUID: set anew after every exec, inherited by children and threads), or, where it
// cannot, the instruction is overwritten in small programs' own text by ud2 and the SIGILL
// answered. Used by the tracing thread of host/trap.h.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "host/tracee.h"

namespace vmtpy::host {

enum class CpuidMethod { NONE, FAULT, PATCH };

class Cpuid {
 public:
  // `hypercalls`: the bits in ecx of VMware's leaf.
  Cpuid(CpuidMethod wanted, std::uint32_t hypercalls) : method_(wanted), hypercalls_(hypercalls) {}
  CpuidMethod method() const { return method_; }

  // To be called at each exec, in its ptrace-stop.
  void program_started(Tracee& tracee, int& signal);
  // To be called before a detach: CPUID would fault for the rest of the program's life.
  void let_go(Tracee& tracee, int& signal);
  // Is the ud2 on which it stopped one of ours?
  bool patched(Tracee& tracee, std::uint64_t rip) const;

  void answer(user_regs_struct& registers) const;

 private:
  using File = std::pair<dev_t, ino_t>;
  void patch(Tracee& tracee);
  void patch_range(Tracee& tracee, const File& file, std::uint64_t start, std::uint64_t end);

  std::atomic<CpuidMethod> method_;
  const std::uint32_t hypercalls_;
  std::map<File, std::set<std::uint64_t>> patched_;  // executable → addresses
};

}  // namespace vmtpy::host
