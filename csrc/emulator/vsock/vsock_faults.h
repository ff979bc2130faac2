// A host that breaks the protocol of vsock, on purpose, at one packet: for tests of guests. Used by
// emulator/vsock/vsock_conversation.h and emulator/vsock/vsock_service.h; not thread-safe.
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
  STALL,           // half of the packet, then nothing any more
  OVERSIZE,        // a length of nearly 4 GiB, then the fields
  UNKNOWN_FIELDS,  // fields beside the known ones, of types that are known: to be skipped
  UNKNOWN_TYPE,    // a field of a type that nobody knows
  PING_STORM,      // a thousand pings first
  SLOW,            // byte by byte, about a millisecond each
};

class VsockFaults {
 public:
  // On `port` (0: on each): so many packets (RESET: connections) go well first, then so many go
  // wrong (0: all).
  void add(VsockFault fault, std::uint32_t port, int after, int times);
  std::optional<VsockFault> due(std::uint32_t port, bool accepting);

 private:
  struct Rule {
    VsockFault fault;
    std::uint32_t port;
    int after;
    int times;  // -1: used up
  };
  std::vector<Rule> rules_;
};

// The packet with the fault in it; as it is for those that are not in the bytes.
std::string spoil(VsockFault fault, const std::string& packet);

}  // namespace vmtpy::emulator
