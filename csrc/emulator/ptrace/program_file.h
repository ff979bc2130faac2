// An ELF file of x86-64, read from outside: its executable segments, and where its functions begin
// and end by the table that unwinds the stack (.eh_frame), by its symbols, or by Go's own table.
// The file is another's and may hold anything, so no number in it is trusted, and what is read at
// once is bounded. This serves emulator/ptrace/code_sites.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace vmtpy::emulator {

struct Range {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  bool contains(std::uint64_t address) const { return start <= address && address < end; }
};

// The place of a part of the file, in the file and in memory before the program is moved.
struct Segment {
  std::uint64_t offset = 0;
  std::uint64_t address = 0;
  std::uint64_t size = 0;  // the size in the file
};

// Owned by whoever looks for sites, used by the tracing thread, and gone when the file has been
// read.
class ProgramFile {
 public:
  explicit ProgramFile(UniqueFd file);

  // The executable segments; none if the file is no such program.
  const std::vector<Segment>& code() const { return code_; }
  // Returns the whole part, or "" if it cannot be read.
  std::string read(std::uint64_t offset, std::uint64_t size) const;

  // Returns the function to which this address belongs.
  std::optional<Range> function(std::uint64_t address);
  // Returns the address at which the function with this name begins.
  std::optional<std::uint64_t> symbol(std::string_view name);

 private:
  struct Symbol {
    Range range;
    std::uint32_t name;     // offset in the strings
    std::uint32_t strings;  // index of the strings in strings_
  };
  // The value of `strings` for a function without a name.
  static constexpr std::uint32_t NAMELESS = ~std::uint32_t{0};

  void read_segments();
  // Reads the sections once, and only when they are needed, because they may be large.
  void read_sections();
  void read_symbols(const std::string& table, std::string strings);
  void read_unwinding(const std::string& table, std::uint64_t address);
  void read_go_table(const std::string& table);

  UniqueFd file_;
  std::string header_;
  std::vector<Segment> code_;
  bool has_sections_ = false;
  std::vector<Symbol> symbols_;  // ordered by start
  std::vector<std::string> strings_;
};

}  // namespace vmtpy::emulator
