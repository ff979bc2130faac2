// How much the machine has not yet written to its disks. It serves the record of a freeze, and the
// pre-sync where debugfs is missing.
#pragma once

#include <cstdint>
#include <optional>

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

}  // namespace vmtpy::freeze
