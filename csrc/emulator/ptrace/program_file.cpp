// Reads ELF headers, symbols, .eh_frame and Go's table of functions, each with bounds. It relies on
// pread(2) of an open file.
#include "emulator/ptrace/program_file.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace vmtpy::emulator {

namespace {

constexpr std::uint64_t LARGEST = std::uint64_t{1} << 29;  // the largest part that is read
constexpr unsigned MOST_HEADERS = 4096;

// Reads a T from these bytes. Bytes after the end count as zeros.
template <typename T>
T value(const std::string& bytes, std::uint64_t offset) {
  T found{};
  if (offset <= bytes.size() && bytes.size() - offset >= sizeof found) {
    std::memcpy(&found, bytes.data() + offset, sizeof found);
  }
  return found;
}

bool is_64_bit_program(const Elf64_Ehdr& header) {
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_machine == EM_X86_64 &&
         header.e_phentsize == sizeof(Elf64_Phdr);
}

// Returns how the CIE says that addresses are written, 0 where the CIE is of an unknown kind.
std::uint8_t address_encoding(const std::string& table, std::uint64_t cie) {
  if (value<std::uint32_t>(table, cie + 4) != 0 || value<std::uint8_t>(table, cie + 8) != 1) {
    return 0;
  }
  constexpr std::uint64_t LETTERS = 9;
  std::string letters;
  while (char letter = value<char>(table, cie + LETTERS + letters.size())) {
    if (letters.size() == 8) return 0;
    letters += letter;
  }
  // A 0 follows, four numbers of one byte (the last is the size of the rest), and a part for each
  // letter after the z: P has an encoding and 4 bytes, L has an encoding, R has the encoding that
  // is wanted.
  std::uint64_t at = cie + LETTERS + letters.size() + 5;
  if (letters == "zR" || letters == "zRS" || letters == "zRB")
    return value<std::uint8_t>(table, at);
  if (letters == "zLR") return value<std::uint8_t>(table, at + 1);
  if (letters == "zPLR") return value<std::uint8_t>(table, at + 6);
  if (letters == "zPR") return value<std::uint8_t>(table, at + 5);
  return 0;
}

}  // namespace

ProgramFile::ProgramFile(UniqueFd file) : file_(std::move(file)) {
  header_ = read(0, sizeof(Elf64_Ehdr));
  if (!header_.empty() && is_64_bit_program(value<Elf64_Ehdr>(header_, 0))) read_segments();
}

std::string ProgramFile::read(std::uint64_t offset, std::uint64_t size) const {
  struct stat status {};
  if (fstat(file_.get(), &status) != 0) return "";
  auto whole = static_cast<std::uint64_t>(status.st_size);
  if (size > LARGEST || offset > whole || size > whole - offset) return "";
  std::string bytes(size, '\0');
  std::uint64_t done = 0;
  while (done < size) {
    ssize_t got =
        pread(file_.get(), bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got <= 0) return "";
    done += static_cast<std::uint64_t>(got);
  }
  return bytes;
}

void ProgramFile::read_segments() {
  auto header = value<Elf64_Ehdr>(header_, 0);
  std::string table = read(header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr));
  for (std::uint64_t at = 0; at < table.size(); at += sizeof(Elf64_Phdr)) {
    auto segment = value<Elf64_Phdr>(table, at);
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    code_.push_back({segment.p_offset, segment.p_vaddr, segment.p_filesz});
  }
}

std::optional<Range> ProgramFile::function(std::uint64_t address) {
  read_sections();
  constexpr int OVERLAPPING = 16;  // symbols may lie within others
  auto next = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                               [](std::uint64_t a, const Symbol& b) { return a < b.range.start; });
  for (int i = 0; i < OVERLAPPING && next != symbols_.begin(); ++i) {
    if ((--next)->range.contains(address)) return next->range;
  }
  return std::nullopt;
}

void ProgramFile::read_sections() {
  if (std::exchange(has_sections_, true)) return;
  auto file = value<Elf64_Ehdr>(header_, 0);
  if (file.e_shentsize != sizeof(Elf64_Shdr) || file.e_shnum > MOST_HEADERS) return;
  std::string table = read(file.e_shoff, file.e_shnum * sizeof(Elf64_Shdr));
  auto section = [&](std::uint64_t number) {
    return value<Elf64_Shdr>(table, number * sizeof(Elf64_Shdr));
  };
  auto content = [&](const Elf64_Shdr& wanted) { return read(wanted.sh_offset, wanted.sh_size); };
  std::string names = content(section(file.e_shstrndx));
  for (unsigned number = 0; number < file.e_shnum; ++number) {
    auto header = section(number);
    std::string_view name = header.sh_name < names.size() ? names.c_str() + header.sh_name : "";
    if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM) {
      read_symbols(content(header), content(section(header.sh_link)));
    } else if (name == ".eh_frame") {
      read_unwinding(content(header), header.sh_addr);
    } else if (name.ends_with(".gopclntab")) {
      read_go_table(content(header));
    }
  }
  std::sort(symbols_.begin(), symbols_.end(),
            [](const Symbol& a, const Symbol& b) { return a.range.start < b.range.start; });
}

void ProgramFile::read_symbols(const std::string& table, std::string strings) {
  auto number = static_cast<std::uint32_t>(strings_.size());
  strings_.push_back(std::move(strings));
  for (std::uint64_t at = 0; at < table.size(); at += sizeof(Elf64_Sym)) {
    auto symbol = value<Elf64_Sym>(table, at);
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
    symbols_.push_back(
        {{symbol.st_value, symbol.st_value + symbol.st_size}, symbol.st_name, number});
  }
}

// The table is a row of entries, each with its size. An entry is the common part of several
// functions (CIE, with a 0 next) or a function (FDE), which counts back to its CIE from that field.
void ProgramFile::read_unwinding(const std::string& table, std::uint64_t address) {
  // 4 bytes, counted from their own place: all compilers use this
  constexpr std::uint8_t RELATIVE_4 = 0x1B;
  for (std::uint64_t at = 0; at < table.size();) {
    auto size = value<std::uint32_t>(table, at);
    auto back = value<std::uint32_t>(table, at + 4);
    if (size > table.size()) return;
    if (back != 0 && back <= at + 4 && address_encoding(table, at + 4 - back) == RELATIVE_4) {
      std::uint64_t start =
          address + at + 8 +
          static_cast<std::uint64_t>(std::int64_t{value<std::int32_t>(table, at + 8)});
      symbols_.push_back({{start, start + value<std::uint32_t>(table, at + 12)}, 0, NAMELESS});
    }
    at += 4 + size;
  }
}

// Reads the table with which the Go runtime itself walks stacks, so a stripped program has it, too.
// This is the format of Go 1.18 and later: a header of 8-byte words, then pairs of 4 bytes, of
// which the first says where a function begins, counted from the start of the text.
void ProgramFile::read_go_table(const std::string& table) {
  auto magic = value<std::uint32_t>(table, 0);
  if (magic != 0xFFFFFFF0 && magic != 0xFFFFFFF1) return;  // Go 1.18 and 1.20
  auto word = [&](std::uint64_t number) { return value<std::uint64_t>(table, 8 + 8 * number); };
  std::uint64_t count = std::min<std::uint64_t>(word(0), table.size() / 8);
  std::uint64_t text = word(2), list = word(7);
  bool known = std::any_of(code_.begin(), code_.end(), [&](const Segment& segment) {
    return Range{segment.address, segment.address + segment.size}.contains(text);
  });
  if (!known || list > table.size()) return;
  for (std::uint64_t i = 0; i < count; ++i) {
    auto start = value<std::uint32_t>(table, list + 8 * i);
    auto end = value<std::uint32_t>(table, list + 8 * i + 8);
    symbols_.push_back({{text + start, text + end}, 0, NAMELESS});
  }
}

std::optional<std::uint64_t> ProgramFile::symbol(std::string_view name) {
  read_sections();
  for (const Symbol& symbol : symbols_) {
    if (symbol.strings == NAMELESS) continue;
    const std::string& strings = strings_[symbol.strings];
    if (symbol.name < strings.size() && name == strings.c_str() + symbol.name) {
      return symbol.range.start;
    }
  }
  return std::nullopt;
}

}  // namespace vmtpy::emulator
