// How much the machine has not yet written to its disks. It serves the record of a freeze, and the
// pre-sync where debugfs is missing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "linux/system.h"

namespace vmtpy::freeze {

// Bytes of page cache on all disks together.
struct DirtyPages {
  std::int64_t waiting = 0;  // to be written
  std::int64_t writing = 0;  // being written
  std::int64_t bytes() const { return waiting + writing; }
};

// Reads Dirty and Writeback in /proc/meminfo. Returns nothing if they cannot be read.
std::optional<DirtyPages> dirty_pages(linux::System& system);
// Reads a number of pages in /proc/vmstat, such as nr_written, in bytes. Returns nothing if it
// cannot be read.
std::optional<std::int64_t> vmstat_bytes(linux::System& system, const std::string& name);

}  // namespace vmtpy::freeze
