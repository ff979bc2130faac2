// Accepts what open-vm-tools accepts, except for packets that are not whole: open-vm-tools reads
// past their end. The errors are open-vm-tools' own.
#include "wire/vix.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "wire/vix_wire.h"

namespace vmtpy::wire {

namespace {

// Reads a number; the caller has checked that it lies in the packet.
std::uint64_t number(std::string_view packet, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(packet[at + i]);
  }
  return value;
}

// Returns the packet with what follows it. Returns nothing where no quoted name and NUL are in
// front.
std::string_view behind_name(std::string_view request) {
  if (!request.starts_with('"')) return {};
  const std::size_t end = request.find('"', 1);
  if (end == std::string_view::npos || request.substr(end + 1, 1) != std::string_view("\0", 1)) {
    return {};
  }
  return request.substr(end + 2);
}

vix::Error judge(std::string_view packet) {
  if (packet.size() < vix::HEADER) return vix::Error::INVALID_MESSAGE_HEADER;
  const std::uint64_t total = number(packet, 6, 4);
  const std::uint64_t header = number(packet, 10, 4);
  const std::uint64_t body = number(packet, 14, 4);
  const std::uint64_t credentials = number(packet, 18, 4);
  // NULs may follow the packet, as they do behind other commands.
  if (number(packet, 0, 4) != vix::MAGIC || number(packet, 4, 2) != vix::VERSION ||
      header < vix::HEADER || header + body + credentials > total || total > packet.size() ||
      packet.find_first_not_of('\0', total) != std::string_view::npos) {
    return vix::Error::INVALID_MESSAGE_HEADER;
  }
  return number(packet, 23, 4) == vix::GET_TOOLS_STATE ? vix::Error::SUCCESS
                                                       : vix::Error::UNRECOGNIZED_COMMAND_IN_GUEST;
}

// Appends bytes to a text in base64. It lives in one call of answer_vix().
class Base64 {
 public:
  explicit Base64(std::string& to) : to_(to) {}

  void put(std::string_view bytes) {
    for (const char byte : bytes) put(static_cast<unsigned char>(byte));
  }
  void put32(std::uint32_t value) {
    for (int i = 0; i < 4; ++i) put(static_cast<std::uint8_t>(value >> 8 * i));
  }
  void put(std::uint8_t byte) {
    bits_ = bits_ << 8 | byte;
    if (++held_ == 3) flush();
  }
  void finish() {
    if (held_ > 0) flush();
  }

 private:
  void flush() {
    static constexpr std::string_view DIGITS =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::uint32_t bits = bits_ << 8 * (3 - held_);
    for (int i = 0; i < 4; ++i) to_ += i <= held_ ? DIGITS[bits >> (18 - 6 * i) & 63] : '=';
    bits_ = 0;
    held_ = 0;
  }

  std::string& to_;
  std::uint32_t bits_ = 0;
  int held_ = 0;  // the number of bytes in bits_
};

}  // namespace

std::string answer_vix(std::string_view request, const ToolsState& state) {
  const vix::Error error = judge(behind_name(request));
  // The second number is an errno.
  std::string answer = "OK " + std::to_string(static_cast<int>(error)) + " 0 ";
  if (error == vix::Error::SUCCESS) {
    // The order is open-vm-tools'.
    const std::array<std::pair<vix::Property, std::string_view>, 5> properties = {{
        {vix::Property::OS_NAME, state.os_name},
        {vix::Property::OS_SHORT_NAME, state.os_short_name},
        {vix::Property::TOOLS_PRODUCT, state.product},
        {vix::Property::TOOLS_VERSION, state.version},
        {vix::Property::HOST_NAME, state.host_name},
    }};
    Base64 encoded(answer);
    for (const auto& [property, whole] : properties) {
      const std::string_view value =
          whole.substr(0, std::min(whole.find('\0'), ToolsState::MAX_VALUE));
      if (value.empty()) continue;
      encoded.put32(static_cast<std::uint32_t>(property));
      encoded.put32(vix::STRING);
      encoded.put32(static_cast<std::uint32_t>(value.size() + 1));
      encoded.put(value);
      encoded.put(std::uint8_t{0});
    }
    encoded.finish();
  }
  answer += '\0';
  return answer;
}

}  // namespace vmtpy::wire
