// The answer to a host that asks for the state of the tools (VIX, op 62), which says what this
// guest is. It serves the loop. The answer never has the properties that say "guest operations
// work", and no other operation is served. The answer depends only on the state and on what the
// host sent, which may be anything.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vmtpy::wire {

// What the host is told. Empty values are left out, and each value ends at a NUL or at MAX_VALUE.
struct ToolsState {
  static constexpr std::size_t MAX_VALUE = 255;  // bytes
  std::string os_name;                           // "Debian GNU/Linux 12 (bookworm)"
  std::string os_short_name;                     // "debian12-64"
  std::string product;
  std::string version;
  std::string host_name;
};

// Returns the TCLO answer to what follows `Vix_1_Relayed_Command `: a quoted name, NUL, and a
// packet.
std::string answer_vix(std::string_view request, const ToolsState& state);

}  // namespace vmtpy::wire
