// Constants of VIX, by which a host asks tools for their state, under the protocol's own names.
// They serve wire/vix. Sources: open-vm-tools' vixCommands.h and vixOpenSource.h, govmomi's
// toolbox/vix. All integers are little-endian and packed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmtpy::wire::vix {

inline constexpr std::uint32_t MAGIC = 0xD00D0001;
inline constexpr std::uint16_t VERSION = 5;
inline constexpr std::size_t HEADER = 51;  // bytes of a request without body and credentials
inline constexpr std::uint32_t GET_TOOLS_STATE = 62;

enum class Error : std::uint16_t {
  SUCCESS = 0,
  UNRECOGNIZED_COMMAND_IN_GUEST = 3025,
  INVALID_MESSAGE_HEADER = 10000,
};

enum class Property : std::uint16_t {
  TOOLS_VERSION = 4500,
  OS_NAME = 4503,
  HOST_NAME = 4505,
  TOOLS_PRODUCT = 4511,
  OS_SHORT_NAME = 4520,
};
inline constexpr std::uint32_t STRING = 2;  // the type of a property; its length counts a NUL

}  // namespace vmtpy::wire::vix
