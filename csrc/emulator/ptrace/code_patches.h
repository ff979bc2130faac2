// CPUID overwritten in programs, for processors that cannot fault on it: by ud2, of the same size,
// in each process's own copy of the page. The same is done, by int3, to the function that the
// dynamic linker calls when it has mapped libraries and nothing of them has run yet; so they are
// overwritten in time, whatever thread loads them. What is where depends on the file alone
// (emulator/ptrace/code_sites.h) and on where /proc/PID/maps has it: nothing is kept for a process,
// and forks and ends need no care. The tracing thread's.
//
// The limits: CPUID in code that a program makes itself or maps without a dynamic linker, and in
// functions whose ends nothing tells, is the processor's. A program that reads its own code sees
// the change.
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

class CodePatches {
 public:
  // Overwrites what is mapped now.
  void apply(Tracee& tracee);
  // Puts back what was there.
  void remove(Tracee& tracee);
  // What was overwritten at this address.
  std::optional<CodeSite> find(Tracee& tracee, std::uint64_t address);

 private:
  using File = std::tuple<dev_t, ino_t, off_t, time_t, long>;  // and size, and when it was changed
  struct Mapped {  // a site, with addresses in place of offsets
    std::uint64_t address;
    std::uint64_t context;
    const CodeSite* site;
  };
  std::vector<Mapped> mapped_sites(pid_t thread);
  const CodeSites* sites_of(const std::string& path);

  std::map<File, CodeSites> files_;
  std::bitset<4096> in_page_;  // a site's place in its page is the same in every process
};

}  // namespace vmtpy::emulator
