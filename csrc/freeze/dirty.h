// How much the machine has not yet written to its disks. It serves the record of a freeze, and the
// pre-sync where debugfs is missing.
#pragma once

#include <cstdint>
#include <optional>

#include "linux/system.h"

namespace vmtpy::freeze {

// Returns the bytes of page cache that wait to be written or are being written, on all disks
// together: the sum of Dirty and Writeback in /proc/meminfo. Returns nothing if that cannot be
// read. `writing` is set to Writeback.
std::optional<std::int64_t> dirty_bytes(linux::System& system, std::int64_t* writing = nullptr);

}  // namespace vmtpy::freeze
