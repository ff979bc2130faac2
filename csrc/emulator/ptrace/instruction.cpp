// The layout of an instruction: prefixes, opcode (1 to 3 bytes), ModRM with what it requires, and
// an immediate value. The tables say for each opcode which of the last two it has.
#include "emulator/ptrace/instruction.h"

#include <algorithm>
#include <string_view>

namespace vmtpy::emulator {

namespace {

constexpr std::size_t LONGEST = 15;

// One letter for each opcode, sixteen to a row:
//   . neither       m ModRM        b imm8         B ModRM, imm8    z imm16/32   Z ModRM, imm16/32
//   p prefix        X no instruction in 64-bit mode                e end of the flow
//   j branch, rel8  r branch, rel32               c ModRM, always of registers
//   s special: read_special() knows it
using Table = std::string_view[16];

constexpr Table ONE_BYTE = {
    "mmmmbzXXmmmmbzXs",  // 00
    "mmmmbzXXmmmmbzXX",  // 10
    "mmmmbzpXmmmmbzpX",  // 20
    "mmmmbzpXmmmmbzpX",  // 30
    "pppppppppppppppp",  // 40
    "................",  // 50
    "XXsmppppzZbB....",  // 60
    "jjjjjjjjjjjjjjjj",  // 70
    "BZXBmmmmmmmmmmms",  // 80
    "..........X.....",  // 90
    "ssss....bz......",  // A0
    "bbbbbbbbssssssss",  // B0
    "BBsessBZs.seebXe",  // C0
    "mmmmXXX.mmmmmmmm",  // D0
    "jjjjbbbbrsXs....",  // E0
    "p.ppe.ss......ms",  // F0
};

constexpr Table TWO_BYTES = {
    "mmmmX..e..XeXm.B",  // 00
    "mmmmmmmmmmmmmmmm",  // 10
    "ccccXXXXmmmmmmmm",  // 20
    ".....eX.sXsXXXXX",  // 30
    "mmmmmmmmmmmmmmmm",  // 40
    "mmmmmmmmmmmmmmmm",  // 50
    "mmmmmmmmmmmmmmmm",  // 60
    "BBBBmmm.smXXmmmm",  // 70
    "rrrrrrrrrrrrrrrr",  // 80
    "mmmmmmmmmmmmmmmm",  // 90
    "...mBmmm...mBmmm",  // A0
    "mmmmmmmmmmBmmmmm",  // B0
    "mmBmBBBm........",  // C0
    "mmmmmmmmmmmmmmmm",  // D0
    "mmmmmmmmmmmmmmmm",  // E0
    "mmmmmmmmmmmmmmmm",  // F0
};

// Reads one instruction. It lives in one call of read_instruction().
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> code)
      : code_(code.first(std::min(code.size(), LONGEST))) {}

  std::optional<DecodedInstruction> read() {
    std::uint8_t opcode = read_prefixes();
    read_kind(ONE_BYTE[opcode >> 4][opcode & 15], opcode, false);
    if (!good_) return std::nullopt;
    found_.size = at_;
    if (found_.flow == Flow::BRANCH || found_.flow == Flow::JUMP) {
      found_.target = displacement_ + static_cast<std::int64_t>(at_);
    }
    return found_;
  }

 private:
  std::uint8_t next() {
    if (at_ < code_.size()) return code_[at_++];
    good_ = false;
    return 0;
  }
  std::uint8_t peek() const { return at_ < code_.size() ? code_[at_] : std::uint8_t{0}; }

  void skip(std::size_t size) {
    if (code_.size() - at_ < size) good_ = false;
    at_ = std::min(at_ + size, code_.size());
  }

  std::uint8_t read_prefixes() {
    while (true) {
      std::uint8_t byte = next();
      if (ONE_BYTE[byte >> 4][byte & 15] != 'p' || !good_) return byte;
      // REX counts only directly before the opcode.
      rex_ = (byte & 0xF0) == 0x40 ? byte : std::uint8_t{0};
      short_operand_ |= byte == 0x66;
      short_address_ |= byte == 0x67;
      repeated_ |= byte == 0xF2 || byte == 0xF3;
      insert_ |= byte == 0xF2;
      found_.locked |= byte == 0xF0;
    }
  }

  void read_kind(char kind, std::uint8_t opcode, bool two_bytes) {
    switch (kind) {
      case 'm':
        return modrm();
      case 'B':
        modrm();
        return skip(1);
      case 'Z':
        modrm();
        return immediate();
      case 'b':
        return skip(1);
      case 'z':
        return immediate();
      case 'c':
        return skip(1);
      case 'j':
        return branch(Flow::BRANCH, 1);
      case 'r':
        return branch(Flow::BRANCH, 4);
      case 'e':
        found_.flow = Flow::END;
        return;
      case 's':
        return two_bytes ? read_special_two(opcode) : read_special(opcode);
      case 'X':
        good_ = false;
        return;
      default:
        return;
    }
  }

  void read_special(std::uint8_t opcode) {
    if (opcode >= 0xB8 && opcode <= 0xBF) return wide() ? skip(8) : immediate();  // mov
    if (opcode >= 0xA0 && opcode <= 0xA3) return skip(short_address_ ? 4 : 8);    // mov
    switch (opcode) {
      case 0x0F: {
        std::uint8_t second = next();
        return read_kind(TWO_BYTES[second >> 4][second & 15], second, true);
      }
      case 0x62:
        return read_evex();
      case 0x8F:
        return (peek() >> 3 & 7) == 0 ? modrm() : read_xop();
      case 0xC2:
      case 0xCA:  // ret
        found_.flow = Flow::END;
        return skip(2);
      case 0xC4: {
        std::uint8_t map = next() & 0x1F;
        skip(1);
        return read_vex(map);
      }
      case 0xC5:
        skip(1);
        return read_vex(1);
      case 0xC8:  // enter
        return skip(3);
      case 0xE9:
        return branch(Flow::JUMP, 4);
      case 0xEB:
        return branch(Flow::JUMP, 1);
      case 0xF6:
      case 0xF7: {  // test has an immediate value, the other six do not
        bool test = (peek() >> 3 & 7) < 2;
        modrm();
        if (!test) return;
        return opcode == 0xF6 ? skip(1) : immediate();
      }
      default:
        return read_ff();
    }
  }

  void read_ff() {
    std::uint8_t operation = peek() >> 3 & 7;
    if (operation == 4 || operation == 5) found_.flow = Flow::INDIRECT;
    if (operation == 7) good_ = false;
    modrm();
  }

  void read_special_two(std::uint8_t opcode) {
    switch (opcode) {
      case 0x38:
        skip(1);
        return modrm();
      case 0x3A:
        skip(1);
        modrm();
        return skip(1);
      default:  // 78: vmread, or AMD's extrq and insertq
        modrm();
        if (short_operand_ || insert_) skip(2);
    }
  }

  // Instructions of this kind have their prefixes within, so prefixes before them are refused.
  bool refuses_prefixes() {
    if (rex_ != 0 || short_operand_ || repeated_ || found_.locked) good_ = false;
    return !good_;
  }

  void read_vex(std::uint8_t map) {
    if (refuses_prefixes() || map < 1 || map > 3) {
      good_ = false;
      return;
    }
    std::uint8_t opcode = next();
    if (map == 1 && opcode == 0x77) return;  // vzeroupper
    modrm();
    if (map == 3 || (map == 1 && has_vector_immediate(opcode))) skip(1);
  }

  void read_evex() {
    std::uint8_t map = next() & 0x0F;
    skip(2);
    std::uint8_t opcode = next();
    if (refuses_prefixes() || map < 1 || map > 6 || map == 4) {
      good_ = false;
      return;
    }
    modrm();
    if (map == 3 || (map == 1 && has_vector_immediate(opcode))) skip(1);
  }

  void read_xop() {
    std::uint8_t map = next() & 0x1F;
    skip(2);
    if (refuses_prefixes() || map < 8 || map > 10) {
      good_ = false;
      return;
    }
    modrm();
    if (map == 8) skip(1);
    if (map == 10) skip(4);
  }

  static bool has_vector_immediate(std::uint8_t opcode) {
    return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xC2 ||
           (opcode >= 0xC4 && opcode <= 0xC6);
  }

  void modrm() {
    std::uint8_t byte = next();
    std::uint8_t mode = byte >> 6;
    std::uint8_t base = byte & 7;
    if (mode == 3) return;
    if (base == 4) base = next() & 7;
    if (mode == 1) skip(1);
    // There are four more bytes without a base, and where rip is the base.
    if (mode == 2 || (mode == 0 && base == 5)) skip(4);
  }

  bool wide() const { return (rex_ & 8) != 0; }
  void immediate() { skip(short_operand_ && !wide() ? 2 : 4); }

  void branch(Flow flow, std::size_t size) {
    // With this prefix Intel's processors read four bytes and AMD's two.
    if (size == 4 && short_operand_ && !wide()) good_ = false;
    found_.flow = flow;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value |= std::uint32_t{next()} << (8 * i);
    displacement_ = size == 1 ? static_cast<std::int8_t>(value) : static_cast<std::int32_t>(value);
  }

  std::span<const std::uint8_t> code_;
  std::size_t at_ = 0;
  bool good_ = true;
  std::uint8_t rex_ = 0;
  bool short_operand_ = false;
  bool short_address_ = false;
  bool repeated_ = false;
  bool insert_ = false;
  std::int64_t displacement_ = 0;
  DecodedInstruction found_;
};

}  // namespace

std::optional<DecodedInstruction> read_instruction(std::span<const std::uint8_t> code) {
  return Reader(code).read();
}

}  // namespace vmtpy::emulator
