// Where in a program's file are the instructions that the tracer overwrites? The bytes of CPUID
// (0F A2) also occur within other instructions and in data. So they count only in a function whose
// ends are known, of which every instruction can be read, at a place where one begins that the
// program can come to. Better one too few: the program then reads the real CPUID. Used by
// emulator/ptrace/cpuid.h; tests compare it with objdump.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "emulator/ptrace/program_file.h"

namespace vmtpy::emulator {

// Dynamic linkers (GNU's and musl's) call an empty function, _dl_debug_state, for debuggers when
// they have mapped libraries.
enum class Site { CPUID, LINKER };

struct CodeSite {
  Site site = Site::CPUID;
  std::uint64_t to_return = 0;      // from the start of the linker's function to its ret
  std::uint64_t context_start = 0;  // offset in the file of …
  std::string context;              // … these bytes around it, by which memory is recognised
};

using CodeSites = std::map<std::uint64_t, CodeSite>;  // by offset in the file

CodeSites find_code_sites(ProgramFile& file);

}  // namespace vmtpy::emulator
