// Counts packets for each fault, and spoils the bytes. It relies on wire/data_map.h for whole
// packets.
#include "emulator/vsock/vsock_faults.h"

#include "wire/data_map.h"

namespace vmtpy::emulator {

namespace {

constexpr int PINGS = 1000;

std::string word(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

// Puts more fields in front of those of the packet.
std::string with_fields(const std::string& packet, const std::string& fields) {
  const std::string rest = packet.substr(4);
  return word(static_cast<std::uint32_t>(fields.size() + rest.size())) + fields + rest;
}

}  // namespace

void VsockFaults::add(VsockFault fault, std::uint32_t port, int after, int times) {
  rules_.push_back({fault, port, after, times});
}

std::optional<VsockFault> VsockFaults::due(std::uint32_t port, bool accepting) {
  std::optional<VsockFault> found;
  for (Rule& rule : rules_) {
    if (rule.times < 0 || (rule.port != 0 && rule.port != port)) continue;
    if ((rule.fault == VsockFault::RESET) != accepting) continue;
    if (rule.after > 0) {
      --rule.after;
    } else if (!found) {
      found = rule.fault;
      if (rule.times != 0 && --rule.times == 0) rule.times = -1;
    }
  }
  return found;
}

std::string spoil(VsockFault fault, const std::string& packet) {
  switch (fault) {
    case VsockFault::HALF:
    case VsockFault::STALL:
      return packet.substr(0, packet.size() / 2);
    case VsockFault::OVERSIZE:
      return word(0xFFFFFFF0) + packet.substr(4);
    case VsockFault::UNKNOWN_FIELDS:
      return with_fields(packet, word(wire::INT64) + word(77) + word(1) + word(0) +
                                     word(wire::STRING) + word(78) + word(3) + "new");
    case VsockFault::UNKNOWN_TYPE:
      return with_fields(packet, word(99) + word(77) + word(1));
    case VsockFault::PING_STORM: {
      const std::string ping = wire::encode_packet({wire::PacketType::PING, "", false});
      std::string storm;
      for (int i = 0; i < PINGS; ++i) storm += ping;
      return storm + packet;
    }
    default:
      return packet;
  }
}

}  // namespace vmtpy::emulator
