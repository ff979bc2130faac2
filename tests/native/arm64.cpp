// The core on arm64, where the backdoor is another instruction. `arm64 probe` asks who is there,
// `arm64 talk` holds whole conversations with a host that answers the instruction from outside
// (tests/support/arm64.py), and `arm64 packets` decodes vsock's packets. A failed check is a line
// and an exit code of 1.
#include <cstdio>

#include "arm64_talk.h"
#include "base/errors.h"
#include "wire/data_map.h"

using namespace vmtpy;

namespace {

// Encodes and decodes a packet whose bytes are known, byte by byte.
void packets() {
  const std::string encoded = wire::encode_packet({wire::PacketType::DATA, "ping", false});
  const char known[] = {0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,   1,   0,   0,
                        0, 0, 0, 0,  0, 2, 0, 0, 0, 2, 0, 0, 0, 4, 'p', 'i', 'n', 'g'};
  CHECK(encoded == std::string(known, sizeof known));
  wire::PacketDecoder decoder;
  for (const char& byte : encoded) {
    CHECK(!decoder.take());
    decoder.feed({&byte, 1});
  }
  const std::optional<wire::Packet> packet = decoder.take();
  CHECK(packet && packet->payload == "ping" && packet->type == wire::PacketType::DATA);
  CHECK(!decoder.take() && !decoder.in_the_middle());
  decoder.feed("\xFF\xFF\xFF\xFF");
  try {
    decoder.take();
  } catch (const ChannelError&) {
    return void(std::puts("all is taken apart"));
  }
  CHECK(!"a packet of 4 GiB is refused");
}

}  // namespace

int main(int count, char** words) {
  const std::string wanted = count == 2 ? words[1] : "";
  try {
    if (wanted == "probe") {
      const wire::Probe found = wire::probe_machine();
      std::printf("%d %s\n", static_cast<int>(found.presence), found.reason.c_str());
    } else if (wanted == "talk") {
      wire::PortBackdoor backdoor;
      talk(backdoor);
      std::puts("all is said");
    } else if (wanted == "packets") {
      packets();
    } else {
      return std::fputs("usage: arm64 probe|talk|packets\n", stderr), 2;
    }
  } catch (const std::exception& error) {
    return std::printf("failed: %s\n", error.what()), 1;
  }
  return 0;
}
