// The seam for the memory of the program that trapped, as the emulated host may read and write it.
// It serves emulator/channels.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmtpy::emulator {

// Lives in one trap of one thread. Both calls return false where the program has no such memory.
class GuestMemory {
 public:
  virtual ~GuestMemory() = default;
  virtual bool read(std::uint64_t address, void* into, std::size_t size) = 0;
  virtual bool write(std::uint64_t address, const void* from, std::size_t size) = 0;
};

}  // namespace vmtpy::emulator
