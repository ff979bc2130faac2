// Reads /proc/meminfo and /proc/vmstat through System, so that tests can play the kernel. The
// kernel counts there for all disks together.
#include "freeze/dirty.h"

#include <unistd.h>

#include <algorithm>
#include <limits>

#include "linux/facts.h"

namespace vmtpy::freeze {

std::optional<DirtyPages> dirty_pages(linux::System& system) {
  std::string text;
  if (system.read_file("/proc/meminfo", text) != 0) return std::nullopt;
  const auto waiting = linux::find_number(text, "Dirty:");
  const auto writing = linux::find_number(text, "Writeback:");
  if (!waiting || !writing) return std::nullopt;
  return DirtyPages{*waiting * 1024, *writing * 1024};
}

std::optional<std::int64_t> vmstat_bytes(linux::System& system, const std::string& name) {
  std::string text;
  if (system.read_file("/proc/vmstat", text) != 0) return std::nullopt;
  const auto pages = linux::find_number(text, name + " ");
  if (!pages) return std::nullopt;
  const std::int64_t page = sysconf(_SC_PAGESIZE);
  return std::clamp<std::int64_t>(*pages, 0, std::numeric_limits<std::int64_t>::max() / page) *
         page;
}

}  // namespace vmtpy::freeze
