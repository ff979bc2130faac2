// The ways in which an emulated host breaks the protocol of vsock at one packet, for tests of
// guests. It serves emulator/vsock/vsock_conversation.h and emulator/vsock/vsock_server.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmtpy::emulator {

enum class VsockFault {
  RESET,           // a connection is closed as soon as it has been accepted
  CLOSE,           // the connection is closed instead of the packet
  SILENCE,         // the packet is never sent; the connection stays
  HALF,            // half of the packet, then the connection is closed
  STALL,           // half of the packet, then nothing more
  OVERSIZE,        // a length of nearly 4 GiB, then the fields
  UNKNOWN_FIELDS,  // fields with unknown ids and known types, which a guest skips
  UNKNOWN_TYPE,    // a field of an unknown type
  PING_STORM,      // a thousand pings first
  SLOW,            // byte by byte, about a millisecond each
};

// Owned by the VsockServer and used by its thread only.
class VsockFaults {
 public:
  // Adds a fault on `port` (0 for each port): `after` packets (for RESET, connections) go well
  // first, then `times` go wrong (0 for all).
  void add(VsockFault fault, std::uint32_t port, int after, int times);
  std::optional<VsockFault> due(std::uint32_t port, bool accepting);

 private:
  struct Rule {
    VsockFault fault;
    std::uint32_t port;
    int after;
    int times;  // -1 when used up
  };
  std::vector<Rule> rules_;
};

// Returns the packet with the fault in it. Faults that are not in the bytes leave it unchanged.
std::string spoil(VsockFault fault, const std::string& packet);

}  // namespace vmtpy::emulator
