// Feeds any bytes in any pieces to the decoder of vsock packets. It takes or refuses them, and
// keeps no more than has arrived. What it takes is the same however the bytes are cut, and after
// another encoding.
#include "wire/data_map.h"

#include <string>
#include <vector>

#include "base/errors.h"
#include "fuzz.h"

using namespace vmtpy;

namespace {

constexpr std::size_t MOST_PAYLOAD = 512;
constexpr std::size_t MOST_PACKET = MOST_PAYLOAD + 4096;

struct Taken {
  std::vector<wire::Packet> packets;
  bool refused = false;
};

Taken decode(std::string_view bytes, FuzzedDataProvider* cuts) {
  Taken taken;
  wire::PacketDecoder decoder(MOST_PAYLOAD);
  try {
    while (!bytes.empty()) {
      const std::size_t size =
          cuts == nullptr ? bytes.size() : cuts->ConsumeIntegralInRange<std::size_t>(1, 32);
      decoder.feed(bytes.substr(0, size));
      bytes.remove_prefix(std::min(size, bytes.size()));
      while (std::optional<wire::Packet> packet = decoder.take()) taken.packets.push_back(*packet);
      check(!decoder.backlog(), "every packet that can be taken is taken");
      check(decoder.kept() <= 2 * (size + MOST_PACKET), "no more is kept than one packet");
    }
  } catch (const ChannelError&) {
    taken.refused = true;
  }
  return taken;
}

bool same(const wire::Packet& left, const wire::Packet& right) {
  return left.type == right.type && left.payload == right.payload && left.close == right.close;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 65536) return -1;
  FuzzedDataProvider input(data, size);
  const std::string bytes = input.ConsumeRandomLengthString();
  const Taken whole = decode(bytes, nullptr);
  const Taken pieces = decode(bytes, &input);
  check(whole.packets.size() == pieces.packets.size(), "as many packets however they are cut");
  check(whole.refused == pieces.refused, "refused however it is cut");
  for (std::size_t i = 0; i < whole.packets.size(); ++i) {
    const wire::Packet& packet = whole.packets[i];
    check(same(packet, pieces.packets[i]), "the same packets however they are cut");
    check(packet.payload.size() <= MOST_PAYLOAD, "no payload is too large");
    const Taken again = decode(wire::encode_packet(packet), nullptr);
    check(again.packets.size() == 1 && same(again.packets[0], packet), "what is encoded decodes");
  }
  return 0;
}
