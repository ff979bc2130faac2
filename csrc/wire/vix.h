// The answer to a host that asks for the state of the tools (VIX, op 62): what this guest is.
// Serves the loop. The properties that say "guest operations work" are never among it, and no other
// operation is served. A pure function of what the host sent, which may be anything.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vmtpy::wire {

// What the host is told; what is empty is left out, and each ends at a NUL or at MAX_VALUE.
struct ToolsState {
  static constexpr std::size_t MAX_VALUE = 255;  // bytes
  std::string os_name;                           // "Debian GNU/Linux 12 (bookworm)"
  std::string os_short_name;                     // "debian12-64"
  std::string product;
  std::string version;
  std::string host_name;
};

// The TCLO answer to what follows `Vix_1_Relayed_Command `: a quoted name, NUL, and a packet.
std::string answer_vix(std::string_view request, const ToolsState& state);

}  // namespace vmtpy::wire
