// Overwrites CPUID in programs, for processors that cannot fault on it: with ud2, which has the
// same size, in each process's own copy of the page. int3 overwrites the function that the dynamic
// linker calls when it has mapped libraries and nothing of them has run yet, so that CPUID in those
// libraries is overwritten in time, whatever thread loads them. It serves emulator/ptrace/cpuid.h.
//
// What is where depends on the file alone (emulator/ptrace/code_sites.h) and on where
// /proc/PID/maps has it. Nothing is kept for a process, so forks and ends need no care.
//
// Two limits remain. The processor answers CPUID in code that a program makes itself or maps
// without a dynamic linker, and in functions whose ends nothing tells. A program that reads its own
// code sees the change.
#pragma once

#include <sys/types.h>

#include <bitset>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "emulator/ptrace/code_sites.h"
#include "emulator/ptrace/tracee.h"

namespace vmtpy::emulator {

// Owned by Cpuid, used by the tracing thread only, and as long-lived as the trace.
class CodePatches {
 public:
  // Overwrites the code that is mapped now.
  void apply(Tracee& tracee);
  // Puts back the original code.
  void remove(Tracee& tracee);
  // Returns what was overwritten at this address.
  std::optional<CodeSite> find(Tracee& tracee, std::uint64_t address);

 private:
  // The file's identity, its size and the time of its last change.
  using File = std::tuple<dev_t, ino_t, off_t, time_t, long>;
  struct Mapped {  // a site, with addresses in place of offsets
    std::uint64_t address;
    std::uint64_t context;
    const CodeSite* site;
  };
  std::vector<Mapped> mapped_sites(pid_t thread);
  const CodeSites* sites_of(const std::string& path);

  std::map<File, CodeSites> files_;
  // A site's place in its page is the same in every process, so most addresses are ruled out
  // quickly.
  std::bitset<4096> in_page_;
};

}  // namespace vmtpy::emulator
