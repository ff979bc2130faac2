// Assertions that stay in release builds. An assertion that fails names itself on stderr and ends
// the process by SIGABRT; a guardian then thaws what the process has frozen, as after any other
// death. So the guardian's own code has none, because nobody would thaw for it. They serve every
// floor.
#pragma once

namespace vmtpy {

// Never waits: where stderr is a file, which may lie on a frozen filesystem, or cannot take the
// line at once, nothing is written.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace vmtpy

#define VMTPY_ASSERT(condition) \
  ((condition) ? void() : ::vmtpy::assertion_failed(#condition, __FILE__, __LINE__))
