// Feeds any bytes of guests on vsock, in any pieces and on several connections at once, to the
// emulated host. What waits to be sent stays bounded, one TCLO client counts, and a guest that
// keeps to the protocol still gets its answer.
#include <memory>
#include <string>
#include <vector>

#include "doubles/manual_clock.h"
#include "emulator/vsock/vsock_conversation.h"
#include "fuzz.h"
#include "wire/data_map.h"

using namespace vmtpy;
using emulator::VsockConversation;

namespace {

// No reply is larger than this, and at most one begins while less than this waits to be sent.
constexpr std::size_t MOST_WAITING = 1UL << 20;

std::string packet(FuzzedDataProvider& input) {
  const bool ping = input.ConsumeIntegralInRange(0, 7) == 0;
  const std::string payload = input.ConsumeRandomLengthString(64);
  std::string bytes =
      wire::encode_packet({ping ? wire::PacketType::PING : wire::PacketType::DATA,
                           input.ConsumeBool() ? "info-get guestinfo.large" : payload,
                           input.ConsumeIntegralInRange(0, 15) == 0});
  if (input.ConsumeBool()) {
    bytes[input.ConsumeIntegralInRange<std::size_t>(0, bytes.size() - 1)] =
        input.ConsumeIntegral<char>();
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return -1;
  FuzzedDataProvider input(data, size);
  doubles::ManualClock clock;
  emulator::Device device(clock);
  device.set_guestinfo("large", std::string(60'000, 'x'));
  emulator::VsockFaults faults;
  emulator::VsockCounts counts;
  std::vector<std::unique_ptr<VsockConversation>> guests;
  while (input.remaining_bytes() > 0) {
    if (guests.size() < 4 || input.ConsumeIntegralInRange(0, 15) == 0) {
      if (guests.size() == 4) guests.erase(guests.begin());
      const std::uint32_t port = input.ConsumeBool() ? wire::VSOCK_RPCI : wire::VSOCK_TCLO;
      guests.push_back(std::make_unique<VsockConversation>(device, faults, counts, port, false));
      guests.back()->begin([] {});
    }
    VsockConversation& guest =
        *guests[input.ConsumeIntegralInRange<std::size_t>(0, guests.size() - 1)];
    if (input.ConsumeIntegralInRange(0, 7) == 0) device.send_command("ping");
    if (guest.wants_more()) {
      guest.receive(input.ConsumeBool() ? packet(input) : input.ConsumeRandomLengthString(32));
    }
    check(guest.outgoing().size() < MOST_WAITING, "the bytes that wait for a guest are bounded");
    if (input.ConsumeBool()) guest.sent(guest.outgoing().size());
    guest.proceed();
  }
  VsockConversation good(device, faults, counts, wire::VSOCK_RPCI, false);
  good.receive(wire::encode_packet({wire::PacketType::DATA, "log still here", false}));
  wire::PacketDecoder decoder;
  decoder.feed(good.outgoing());
  const auto reply = decoder.take();
  check(reply && reply->payload == "1 ", "the host still answers");
  return 0;
}
