// Walks through each function that contains the bytes of CPUID, instruction by instruction. Relies
// on ProgramFile for the functions and on read_instruction().
#include "emulator/ptrace/code_sites.h"

#include <algorithm>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "emulator/ptrace/instruction.h"

namespace vmtpy::emulator {

namespace {

constexpr std::string_view CPUID("\x0F\xA2");
constexpr std::uint64_t LARGEST_FUNCTION = 4UL * 1024 * 1024;
constexpr std::uint64_t CONTEXT = 16;  // this many bytes before and after the site

using Bytes = std::span<const std::uint8_t>;

struct Step {
  std::uint64_t at;
  DecodedInstruction instruction;
};

// Returns every instruction from the first byte to the last, or nothing if one cannot be read.
std::vector<Step> walk(Bytes function) {
  std::vector<Step> steps;
  for (std::uint64_t at = 0; at < function.size();) {
    auto instruction = read_instruction(function.subspan(at));
    if (!instruction) return {};
    steps.push_back({at, *instruction});
    at += instruction->size;
  }
  return steps;
}

bool is_cpuid(Bytes function, const Step& step) {
  return step.instruction.size == CPUID.size() && function[step.at] == 0x0F &&
         function[step.at + 1] == 0xA2;
}

// Returns the offsets of CPUID in the function. Data between instructions shows itself in two ways:
// jumps land within what was taken for an instruction, or nothing leads to it.
std::vector<std::uint64_t> cpuids(Bytes function) {
  const std::vector<Step> steps = walk(function);
  std::set<std::uint64_t> starts, targets;
  bool indirect = false;
  for (const Step& step : steps) {
    starts.insert(step.at);
    if (step.instruction.locked) starts.insert(step.at + 1);  // a jump may skip the prefix
    indirect |= step.instruction.flow == Flow::INDIRECT;
    std::uint64_t target = step.at + static_cast<std::uint64_t>(step.instruction.target);
    bool jumps = step.instruction.flow == Flow::BRANCH || step.instruction.flow == Flow::JUMP;
    if (jumps && target < function.size()) targets.insert(target);
  }
  if (!std::includes(starts.begin(), starts.end(), targets.begin(), targets.end())) return {};

  std::vector<std::uint64_t> found;
  bool reached = true;
  for (const Step& step : steps) {
    reached |= indirect || targets.contains(step.at);
    if (reached && is_cpuid(function, step)) found.push_back(step.at);
    Flow flow = step.instruction.flow;
    if (flow == Flow::JUMP || flow == Flow::END) reached = false;
  }
  return found;
}

// Finds the sites of one segment. It lives in one call of find_code_sites().
class Finder {
 public:
  Finder(ProgramFile& file, const Segment& segment)
      : file_(file), segment_(segment), text_(file.read(segment.offset, segment.size)) {}

  void find(CodeSites& sites) {
    for (std::size_t at = text_.find(CPUID); at != std::string::npos;
         at = text_.find(CPUID, at + 1)) {
      if (at < done_) continue;
      if (auto range = function(at)) {
        for (std::uint64_t inside : cpuids(bytes(*range))) {
          add(sites, range->start + inside, {});
        }
        done_ = range->end;
      }
    }
    find_linker(sites);
  }

 private:
  // Returns a function as offsets in the text. Returns nothing unless the function lies wholly in
  // the text.
  std::optional<Range> function(std::uint64_t at) {
    auto range = file_.function(segment_.address + at);
    if (!range || range->start < segment_.address) return std::nullopt;
    range->start -= segment_.address;
    range->end -= segment_.address;
    if (range->end > text_.size() || range->end - range->start > LARGEST_FUNCTION) {
      return std::nullopt;
    }
    return range;
  }

  Bytes bytes(const Range& range) const {
    return {reinterpret_cast<const std::uint8_t*>(text_.data()) + range.start,
            range.end - range.start};
  }

  void find_linker(CodeSites& sites) {
    auto address = file_.symbol("_dl_debug_state");
    if (!address || *address < segment_.address) return;
    std::uint64_t at = *address - segment_.address;
    if (at >= text_.size()) return;
    std::string_view code = std::string_view(text_).substr(at);
    // The ret may follow a rep or an endbr64.
    for (std::string_view before_return : {"", "\xF3", "\xF3\x0F\x1E\xFA"}) {
      if (code.starts_with(before_return) &&
          code.substr(before_return.size()).starts_with('\xC3')) {
        add(sites, at, {Site::LINKER, before_return.size(), 0, ""});
      }
    }
  }

  void add(CodeSites& sites, std::uint64_t at, CodeSite site) {
    std::uint64_t start = at - std::min(at, CONTEXT);
    site.context_start = segment_.offset + start;
    site.context = text_.substr(start, at + CONTEXT - start);
    sites[segment_.offset + at] = std::move(site);
  }

  ProgramFile& file_;
  const Segment& segment_;
  const std::string text_;
  std::uint64_t done_ = 0;
};

}  // namespace

CodeSites find_code_sites(ProgramFile& file) {
  CodeSites sites;
  for (const Segment& segment : file.code()) Finder(file, segment).find(sites);
  return sites;
}

}  // namespace vmtpy::emulator
