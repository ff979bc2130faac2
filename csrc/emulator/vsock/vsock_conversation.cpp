// Packets in, answers and commands out, with the faults that a test asked for. It relies on
// wire/data_map.h for the encoding.
#include "emulator/vsock/vsock_conversation.h"

#include <utility>

#include "base/errors.h"

namespace vmtpy::emulator {

VsockConversation::~VsockConversation() {
  if (port_ == wire::VSOCK_TCLO) device_.close_tclo(this);
}

void VsockConversation::begin(TcloQueue::Wake wake) {
  if (port_ == wire::VSOCK_TCLO) device_.open_tclo(this, std::move(wake));
}

void VsockConversation::receive(std::string_view bytes) {
  decoder_.feed(bytes);
  proceed();
}

void VsockConversation::proceed() {
  held_ = device_.stunned();
  if (held_) return;
  try {
    while (wants_more()) {
      auto packet = decoder_.take();
      if (!packet) break;
      take(std::move(*packet));
    }
    if (port_ == wire::VSOCK_TCLO && !over_) push();
  } catch (const Error&) {  // the bytes are no packet, or the packet is too large
    ++counts_.rejected;
    over_ = true;
  }
}

void VsockConversation::push() {
  if (!device_.has_tclo(this)) {
    over_ = true;  // a newer client has taken its place
  } else if (wants_more()) {
    if (auto command = device_.take_command(this, transport_)) send(std::move(*command));
  }
}

void VsockConversation::take(wire::Packet packet) {
  if (packet.type == wire::PacketType::PING) {
    ++counts_.pings;
    return;
  }
  ++counts_.packets;
  if (port_ == wire::VSOCK_TCLO) {
    if (!packet.payload.empty())
      device_.take_tclo_reply(this, std::move(packet.payload), transport_);
    return;
  }
  send(device_.answer(std::move(packet.payload), transport_));
  if (packet.close) over_ = true;
}

void VsockConversation::send(std::string payload) {
  if (silent_) return;
  const std::string packet =
      wire::encode_packet({wire::PacketType::DATA, std::move(payload), false});
  if (auto fault = faults_.due(port_, false)) return put(*fault, packet);
  ++counts_.packets;
  outgoing_ += packet;
}

void VsockConversation::put(VsockFault fault, const std::string& packet) {
  if (fault == VsockFault::CLOSE || fault == VsockFault::HALF) over_ = true;
  if (fault == VsockFault::STALL) silent_ = true;
  if (fault == VsockFault::SLOW) slow_ = true;
  if (fault != VsockFault::CLOSE && fault != VsockFault::SILENCE) {
    outgoing_ += spoil(fault, packet);
  }
}

void VsockConversation::sent(std::size_t bytes) {
  sent_ += bytes;
  if (sent_ < outgoing_.size()) return;
  outgoing_ = {};
  sent_ = 0;
  slow_ = false;
}

}  // namespace vmtpy::emulator
