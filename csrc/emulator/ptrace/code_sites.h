// Finds the instructions in a program's file that the tracer overwrites. The bytes of CPUID (0F A2)
// also occur within other instructions and in data. So they count only in a function whose ends are
// known and of which every instruction can be read, at a place where an instruction begins that the
// program can reach. In doubt a site is left out: the program then reads the real CPUID. This
// serves emulator/ptrace/code_patches.h; tests compare it with objdump.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "emulator/ptrace/program_file.h"

namespace vmtpy::emulator {

// Dynamic linkers (GNU's and musl's) call an empty function for debuggers, _dl_debug_state, when
// they have mapped libraries.
enum class Site { CPUID, LINKER };

struct CodeSite {
  Site site = Site::CPUID;
  std::uint64_t to_return = 0;  // the distance from the start of the linker's function to its ret
  std::uint64_t context_start = 0;  // the offset in the file of `context`
  std::string context;              // the bytes around the site, by which memory is recognised
};

using CodeSites = std::map<std::uint64_t, CodeSite>;  // by offset in the file

CodeSites find_code_sites(ProgramFile& file);

}  // namespace vmtpy::emulator
