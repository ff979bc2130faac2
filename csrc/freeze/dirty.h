// What the machine has not yet written to its disks. Serves the record of a freeze.
#pragma once

#include <cstdint>
#include <optional>

#include "linux/system.h"

namespace vmtpy::freeze {

// Bytes of page cache that wait to be written or are being written, on all disks together: the sum
// of Dirty and Writeback in /proc/meminfo. Nothing if that cannot be read.
std::optional<std::int64_t> dirty_bytes(linux::System& system);

}  // namespace vmtpy::freeze
