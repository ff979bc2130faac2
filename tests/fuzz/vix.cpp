// Sends any requests by VIX to a guest with any state of the tools. The answer is one of three and
// bounded. It holds only the five properties that say what the guest is, and only for a whole
// request.
#include "wire/vix.h"

#include <map>
#include <string>
#include <string_view>

#include "fuzz.h"
#include "wire/vix_wire.h"

using namespace vmtpy;

namespace {

constexpr std::size_t LARGEST = 2048;  // the most bytes of an answer

std::uint32_t word(std::string_view bytes, std::size_t at) {
  check(at <= bytes.size() && bytes.size() - at >= 4, "a property is whole");
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

std::string from_base64(std::string_view text) {
  constexpr std::string_view DIGITS =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  check(text.size() % 4 == 0, "base64 comes in fours");
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char digit : text) {
    const std::size_t value = DIGITS.find(digit);
    check(value != std::string_view::npos, "base64 has 64 digits");
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> held);
  }
  return bytes;
}

std::string expected(const std::string& value) {
  return value.substr(0, value.find('\0')).substr(0, wire::ToolsState::MAX_VALUE);
}

void check_properties(std::string_view left, const wire::ToolsState& state) {
  std::map<std::uint32_t, std::string> wanted = {{4503, expected(state.os_name)},
                                                 {4520, expected(state.os_short_name)},
                                                 {4511, expected(state.product)},
                                                 {4500, expected(state.version)},
                                                 {4505, expected(state.host_name)}};
  std::erase_if(wanted, [](const auto& property) { return property.second.empty(); });
  while (!left.empty()) {
    const auto found = wanted.find(word(left, 0));
    check(found != wanted.end(), "each property says what the guest is, once");
    check(word(left, 4) == wire::vix::STRING, "each property is text");
    const std::string value = found->second + '\0';
    check(word(left, 8) == value.size() && left.substr(12, value.size()) == value,
          "each text is the one that was given");
    left.remove_prefix(12 + value.size());
    wanted.erase(found);
  }
  check(wanted.empty(), "every property is told");
}

void check_request(std::string_view request) {
  check(request.starts_with('"'), "a name is quoted");
  const std::string_view packet = request.substr(request.find('"', 1) + 1);
  check(packet.starts_with('\0') && packet.size() > wire::vix::HEADER, "a packet is whole");
  check(word(packet, 1) == wire::vix::MAGIC, "a packet has its magic number");
  check(word(packet, 7) < packet.size(), "a packet is as long as it says");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16384) return -1;
  FuzzedDataProvider input(data, size);
  wire::ToolsState state;
  for (std::string* text :
       {&state.os_name, &state.os_short_name, &state.product, &state.version, &state.host_name}) {
    *text = input.ConsumeRandomLengthString();
  }
  const std::string request = input.ConsumeRemainingBytesAsString();
  const std::string answer = wire::answer_vix(request, state);
  check(answer.size() <= LARGEST, "an answer is bounded");
  check(answer.ends_with('\0'), "an answer ends with a NUL");
  if (answer == std::string_view("OK 10000 0 \0", 12)) return 0;
  check_request(request);
  const std::string_view packet = std::string_view(request).substr(request.find('"', 1) + 2);
  if (answer == std::string_view("OK 3025 0 \0", 11)) {
    check(word(packet, 23) != wire::vix::GET_TOOLS_STATE, "the state is told");
    return 0;
  }
  check(answer.starts_with("OK 0 0 "), "an answer is success or one of two errors");
  check(word(packet, 23) == wire::vix::GET_TOOLS_STATE, "only the state is told");
  check_properties(from_base64(std::string_view(answer).substr(7, answer.size() - 8)), state);
  return 0;
}
