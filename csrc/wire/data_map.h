// Packets of the vsock transport, in the encoding that open-vm-tools calls a data map: a big-endian
// length, then typed fields with ids. Serves the guest's side (wire/vsock_channel.h) and the
// emulated host's. The decoder is fed as bytes arrive; what the other side claims about lengths is
// checked before it is believed, and memory grows only with what has arrived.
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
  std::string payload;  // may be empty: then it is not on the wire at all
  bool close = false;   // the sender of a request wants the connection closed after the reply
};

// Throws MessageSizeError for a payload that is larger than the wire allows.
std::string encode_packet(const Packet& packet);

class PacketDecoder {
 public:
  explicit PacketDecoder(std::size_t max_payload = wire::MAX_MESSAGE) : max_payload_(max_payload) {}

  void feed(std::string_view bytes);
  // The next whole packet, or nothing yet. Throws ChannelError for what is no packet: the
  // conversation cannot be taken up again, as nobody knows where the next one begins.
  std::optional<Packet> take();
  bool in_the_middle() const { return taken_ < buffer_.size(); }  // of a packet
  bool backlog() const;  // take() has something to say without any more bytes
  // Bytes of memory: for what was fed and not taken yet, and room to grow.
  std::size_t kept() const { return buffer_.capacity(); }

 private:
  std::size_t most() const;  // bytes of a packet
  void forget_taken();

  std::size_t max_payload_;
  std::string buffer_;
  std::size_t taken_ = 0;  // so many bytes at its front have been decoded
};

}  // namespace vmtpy::wire
