// Constants of HGFS, VMware's protocol for files between host and guest, under the protocol's own
// names. They serve wire/hgfs. Sources: open-vm-tools' hgfsProto.h, captures of a host in govmomi's
// toolbox/hgfs. All integers are little-endian and packed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmtpy::wire::hgfs {

enum Op : std::uint32_t {
  OPEN = 0,
  CLOSE = 3,
  GETATTR_V2 = 15,
  OPEN_V3 = 24,
  READ_V3 = 25,
  CLOSE_V3 = 27,
  CREATE_SESSION_V4 = 41,
  DESTROY_SESSION_V4 = 42,
  LAST_OP = 64,  // the highest operation that the protocol defines
};

enum class Status : std::uint32_t {
  SUCCESS = 0,
  NO_SUCH_FILE = 1,
  INVALID_HANDLE = 2,
  NOT_DIRECTORY = 5,
  PROTOCOL_ERROR = 7,
  ACCESS_DENIED = 8,
  INVALID_NAME = 9,
  NOT_SUPPORTED = 13,
  STALE_SESSION = 17,
};

inline constexpr std::size_t HEADER = 52;          // bytes
inline constexpr std::uint32_t NEW_HEADER = 0xFF;  // stands where older packets have an operation
inline constexpr std::uint8_t HEADER_VERSION = 1;
inline constexpr std::uint32_t REPLY = 2;  // a flag of packets
inline constexpr std::uint32_t MAX_PACKET = 0xF800;
inline constexpr std::uint32_t MAX_READ = 0xF000;
inline constexpr std::uint32_t MAX_PACKET_VALID = 1;  // a flag of sessions
inline constexpr std::uint64_t NO_SESSION = ~std::uint64_t{0};
inline constexpr std::uint64_t HINT_BY_HANDLE = 1 << 2;  // a hint of GETATTR_V2

inline constexpr std::uint32_t MODE_READ = 0;  // the mode of an open; 1 writes, 2 does both
inline constexpr std::uint32_t LAST_MODE = 2;
// The flags of an open. 1 to 4 create or empty the file.
inline constexpr std::uint32_t FLAGS_OPEN = 0;
inline constexpr std::uint32_t LAST_FLAGS = 4;

// The mask of valid attributes: type, size, and the permissions special, owner, group, other and
// effective.
inline constexpr std::uint64_t ATTRIBUTES = 0x203C3;
inline constexpr std::uint32_t REGULAR_FILE = 0;
inline constexpr std::uint8_t PERMISSION_READ = 4;

}  // namespace vmtpy::wire::hgfs
