// Packets of the vsock transport, in the encoding that open-vm-tools calls a data map: a big-endian
// length, then typed fields with ids. They serve the guest's side (wire/vsock_channel.h) and the
// emulated host's. The lengths that the other side claims are checked before they are used, and
// memory grows only with the bytes that have arrived.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/wire.h"

namespace vmtpy::wire {

struct Packet {
  wire::PacketType type = wire::PacketType::DATA;
  std::string payload;  // an empty payload is not on the wire at all
  // The sender of a request wants the connection closed after the reply.
  bool close = false;
};

// Throws MessageSizeError for a payload that is larger than the wire allows.
std::string encode_packet(const Packet& packet);

// Decodes packets from bytes as they arrive. Owned by a connection, used by the thread that reads
// it, and as long-lived as the connection.
class PacketDecoder {
 public:
  explicit PacketDecoder(std::size_t max_payload = wire::MAX_MESSAGE) : max_payload_(max_payload) {}

  void feed(std::string_view bytes);
  // Returns the next whole packet, or nothing if its end has not arrived. Throws ChannelError for
  // bytes that are no packet. The conversation is over then, because nobody knows where the next
  // packet begins.
  std::optional<Packet> take();
  // True when a part of a packet has arrived.
  bool in_the_middle() const { return taken_ < buffer_.size(); }
  // True when take() returns a packet or throws without any more bytes.
  bool backlog() const;
  // The bytes of memory in use: for what was fed and not taken yet, with room to grow.
  std::size_t kept() const { return buffer_.capacity(); }

 private:
  std::size_t most() const;  // the most bytes that a packet may have
  void forget_taken();

  std::size_t max_payload_;
  std::string buffer_;
  std::size_t taken_ = 0;  // the number of bytes at the front that have been decoded
};

}  // namespace vmtpy::wire
