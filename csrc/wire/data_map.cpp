// Encodes and decodes packets field by field. Fields of unknown ids are skipped, since later hosts
// may add some.
#include "wire/data_map.h"

#include <vector>

#include "base/errors.h"

namespace vmtpy::wire {

namespace {

// The room for what a packet holds beside the payload: its type, flags, and fields that a later
// host adds.
constexpr std::size_t MOST_BESIDE = 4096;
constexpr std::size_t MOST_FIELDS = 64;

void put_word(std::string& to, std::uint32_t word) {
  for (int shift = 24; shift >= 0; shift -= 8) to += static_cast<char>(word >> shift);
}

void put_number(std::string& to, wire::PacketField field, std::uint64_t number) {
  put_word(to, wire::INT64);
  put_word(to, field);
  put_word(to, static_cast<std::uint32_t>(number));  // the low half first
  put_word(to, static_cast<std::uint32_t>(number >> 32));
}

std::uint32_t word_at(std::string_view bytes) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < 4; ++i) word = word << 8 | static_cast<unsigned char>(bytes[i]);
  return word;
}

[[noreturn]] void reject(const std::string& why) {
  throw ChannelError("a vsock packet cannot be decoded: " + why);
}

// Reads the fields of one packet from front to back and never beyond its end. It lives in one call
// of decode().
class Fields {
 public:
  explicit Fields(std::string_view bytes) : left_(bytes) {}

  bool any() const { return !left_.empty(); }
  std::uint32_t word() { return word_at(bytes(4)); }
  std::uint64_t number() {
    const std::uint64_t low = word();
    return std::uint64_t{word()} << 32 | low;
  }
  std::string_view bytes(std::size_t size) {
    if (size > left_.size()) {
      reject("a field has " + std::to_string(size) + " bytes where " +
             std::to_string(left_.size()) + " are left");
    }
    const std::string_view found = left_.substr(0, size);
    left_.remove_prefix(size);
    return found;
  }
  void skip(std::uint32_t type) {
    switch (type) {
      case wire::INT64:
        bytes(8);
        return;
      case wire::STRING:
        bytes(word());
        return;
      case wire::INT64_LIST:
        bytes(std::size_t{word()} * 8);
        return;
      case wire::STRING_LIST:
        for (std::uint32_t count = word(); count > 0; --count) bytes(word());
        return;
      default:
        reject("a field has the unknown type " + std::to_string(type));
    }
  }

 private:
  std::string_view left_;
};

void expect_type(std::uint32_t field, std::uint32_t type, wire::FieldType expected) {
  if (type == expected) return;
  reject("field " + std::to_string(field) + " has type " + std::to_string(type) + " instead of " +
         std::to_string(expected));
}

wire::PacketType packet_type(std::uint64_t number) {
  if (number == static_cast<std::uint64_t>(wire::PacketType::DATA)) return wire::PacketType::DATA;
  if (number == static_cast<std::uint64_t>(wire::PacketType::PING)) return wire::PacketType::PING;
  reject("its type " + std::to_string(number) + " is unknown");
}

Packet decode(std::string_view bytes) {
  Packet packet;
  std::vector<std::uint32_t> seen;
  for (Fields fields(bytes); fields.any();) {
    const std::uint32_t type = fields.word();
    const std::uint32_t field = fields.word();
    for (const std::uint32_t earlier : seen) {
      if (earlier == field) reject("field " + std::to_string(field) + " appears twice");
    }
    if (seen.size() == MOST_FIELDS) {
      reject("it has more than " + std::to_string(MOST_FIELDS) + " fields");
    }
    seen.push_back(field);
    switch (field) {
      case wire::PACKET_TYPE:
        expect_type(field, type, wire::INT64);
        packet.type = packet_type(fields.number());
        break;
      case wire::PAYLOAD:
        expect_type(field, type, wire::STRING);
        packet.payload = fields.bytes(fields.word());
        break;
      case wire::FAST_CLOSE:
        expect_type(field, type, wire::INT64);
        packet.close = fields.number() != 0;
        break;
      default:
        fields.skip(type);
    }
  }
  return packet;
}

}  // namespace

std::string encode_packet(const Packet& packet) {
  if (packet.payload.size() > wire::MAX_MESSAGE) {
    throw MessageSizeError("a message may have at most " + std::to_string(wire::MAX_MESSAGE) +
                           " bytes, but this one has " + std::to_string(packet.payload.size()));
  }
  std::string fields;
  put_number(fields, wire::PACKET_TYPE, static_cast<std::uint64_t>(packet.type));
  if (packet.close) put_number(fields, wire::FAST_CLOSE, 1);
  if (!packet.payload.empty()) {
    put_word(fields, wire::STRING);
    put_word(fields, wire::PAYLOAD);
    put_word(fields, static_cast<std::uint32_t>(packet.payload.size()));
    fields += packet.payload;
  }
  std::string bytes;
  bytes.reserve(4 + fields.size());
  put_word(bytes, static_cast<std::uint32_t>(fields.size()));
  return bytes + fields;
}

std::size_t PacketDecoder::most() const {
  return max_payload_ + MOST_BESIDE;
}

void PacketDecoder::feed(std::string_view bytes) {
  forget_taken();
  buffer_.append(bytes);
}

// Gives back the memory of a large packet, which is not kept for the life of the connection.
void PacketDecoder::forget_taken() {
  if (taken_ == 0) return;
  buffer_.erase(0, taken_);
  taken_ = 0;
  if (buffer_.capacity() > MOST_BESIDE && buffer_.size() <= MOST_BESIDE) buffer_.shrink_to_fit();
}

bool PacketDecoder::backlog() const {
  const std::string_view left = std::string_view(buffer_).substr(taken_);
  if (left.size() < 4) return false;
  const std::size_t size = word_at(left);
  return size > most() || left.size() - 4 >= size;
}

std::optional<Packet> PacketDecoder::take() {
  const std::string_view left = std::string_view(buffer_).substr(taken_);
  if (left.size() < 4) {
    forget_taken();
    return std::nullopt;
  }
  const std::size_t size = word_at(left);
  if (size > most()) {
    reject("it has " + std::to_string(size) + " bytes, but the limit is " + std::to_string(most()));
  }
  if (left.size() - 4 < size) {
    forget_taken();
    return std::nullopt;
  }
  Packet packet = decode(left.substr(4, size));
  if (packet.payload.size() > max_payload_) {
    reject("its payload has " + std::to_string(packet.payload.size()) +
           " bytes, but the limit is " + std::to_string(max_payload_));
  }
  taken_ += 4 + size;
  if (taken_ == buffer_.size()) forget_taken();
  return packet;
}

}  // namespace vmtpy::wire
