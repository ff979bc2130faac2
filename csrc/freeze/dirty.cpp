// Reads /proc/meminfo and /proc/vmstat through System, so that tests can play the kernel. The
// kernel counts there for all disks together.
#include "freeze/dirty.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace vmtpy::freeze {

namespace {

// Returns the value of "Name: 123 kB" in bytes.
std::optional<std::int64_t> value_of(const std::string& text, const std::string& name) {
  const std::string heading = "\n" + name + ":";
  const std::size_t at = text.find(heading);  // never the first line, which is MemTotal
  if (at == std::string::npos) return std::nullopt;
  return std::strtoll(text.c_str() + at + heading.size(), nullptr, 10) * 1024;
}

}  // namespace

std::optional<DirtyPages> dirty_pages(linux::System& system) {
  std::string text;
  if (system.read_file("/proc/meminfo", text) != 0) return std::nullopt;
  const auto waiting = value_of(text, "Dirty");
  const auto going = value_of(text, "Writeback");
  if (!waiting || !going) return std::nullopt;
  return DirtyPages{*waiting, *going};
}

std::optional<std::int64_t> vmstat_bytes(linux::System& system, const std::string& name) {
  std::string text;
  if (system.read_file("/proc/vmstat", text) != 0) return std::nullopt;
  const std::string heading = "\n" + name + " ";
  const std::size_t at = text.find(heading);  // never the first line, which is nr_free_pages
  if (at == std::string::npos) return std::nullopt;
  const std::int64_t page = sysconf(_SC_PAGESIZE);
  const std::int64_t pages = std::strtoll(text.c_str() + at + heading.size(), nullptr, 10);
  return std::clamp<std::int64_t>(pages, 0, std::numeric_limits<std::int64_t>::max() / page) * page;
}

}  // namespace vmtpy::freeze
