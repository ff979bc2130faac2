// The steps of a message channel one by one, and the misbehaviour that a test asked for. The
// numbers are those of wire/wire.h.
#include "emulator/channels.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vmtpy::emulator {

namespace {

constexpr std::uint16_t REFUSED = 0;

std::uint16_t high_half(std::uint64_t value) {
  return static_cast<std::uint16_t>(value >> 16);
}

void set_high_half(std::uint64_t& target, std::uint16_t half) {
  target = (target & 0xFFFF) | (std::uint64_t{half} << 16);
}

}  // namespace

void Channels::message(wire::Registers& registers) {
  std::uint16_t number = high_half(registers.rcx);
  Misbehaviour* how = due(number);
  std::uint16_t status = REFUSED;
  if (number == wire::OPEN) {
    status = how && how->status ? *how->status : open(registers);
  } else {
    Conversation* channel = find(registers, static_cast<std::uint32_t>(registers.rsi),
                                 static_cast<std::uint32_t>(registers.rdi));
    if (how && how->status) {
      status = *how->status;
      if (channel && (status & wire::CHECKPOINT)) begin_again(*channel);
    } else if (channel) {
      status = step(number, *channel, registers);
    }
  }
  set_high_half(registers.rcx, status);
  if (how && how->ebx) registers.rbx = *how->ebx;
  if (how && how->edx_high) set_high_half(registers.rdx, *how->edx_high);
}

std::uint16_t Channels::open(wire::Registers& registers) {
  auto asked = static_cast<std::uint32_t>(registers.rbx);
  bool cookies = asked & wire::COOKIES;
  auto protocol = static_cast<wire::Protocol>(asked & ~wire::COOKIES);
  if (protocol != wire::Protocol::RPCI && protocol != wire::Protocol::TCLO) return REFUSED;
  if (cookies && !options_.cookies) return REFUSED;
  auto slot = std::find_if(channels_.begin(), channels_.end(),
                           [](const Conversation& channel) { return !channel.open; });
  if (slot == channels_.end()) return REFUSED;
  *slot = Conversation{};
  slot->open = true;
  slot->protocol = protocol;
  if (protocol == wire::Protocol::TCLO) tclo_.open(&*slot);
  if (cookies) {
    std::uint64_t cookie = next_cookie();
    slot->cookies = true;
    slot->cookie_high = static_cast<std::uint32_t>(cookie >> 32);
    slot->cookie_low = static_cast<std::uint32_t>(cookie);
    registers.rsi = slot->cookie_high;
    registers.rdi = slot->cookie_low;
  }
  set_high_half(registers.rdx, static_cast<std::uint16_t>(slot - channels_.begin()));
  return wire::SUCCESS;
}

std::uint16_t Channels::step(std::uint16_t step, Conversation& channel,
                             wire::Registers& registers) {
  if (step == wire::CLOSE) {
    tclo_.close(&channel);
    channel.open = false;
    return wire::SUCCESS;
  }
  if (step <= wire::RECVSTATUS && checkpoint_due(channel)) {
    begin_again(channel);
    return wire::CHECKPOINT;
  }
  auto argument = static_cast<std::uint32_t>(registers.rbx);
  switch (step) {
    case wire::SENDSIZE:
      return send_size(channel, argument);
    case wire::SENDPAYLOAD:
      return send_payload(channel, argument);
    case wire::RECVSIZE:
      return receive_size(channel, registers);
    case wire::RECVPAYLOAD:
      return receive_payload(channel, registers);
    case wire::RECVSTATUS:
      return receive_status(channel, argument & wire::SUCCESS);
    default:
      return REFUSED;
  }
}

std::uint16_t Channels::send_size(Conversation& channel, std::uint32_t size) {
  begin_again(channel);
  if (size > wire::MAX_MESSAGE) return REFUSED;
  // A guest that sends on RPCI no longer wants the last reply. A TCLO command stays.
  if (channel.protocol == wire::Protocol::RPCI) channel.outgoing.reset();
  channel.expected = size;
  channel.sending = size != 0;
  if (size == 0) arrived(channel);
  return wire::SUCCESS | high_flag();
}

std::uint16_t Channels::send_payload(Conversation& channel, std::uint32_t word) {
  if (!channel.sending) return REFUSED;
  std::size_t size = std::min<std::size_t>(4, channel.expected - channel.incoming.size());
  char bytes[4];
  std::memcpy(bytes, &word, sizeof bytes);  // both sides are little-endian
  channel.incoming.append(bytes, size);
  if (channel.incoming.size() == channel.expected) arrived(channel);
  return wire::SUCCESS;
}

std::uint16_t Channels::receive_size(Conversation& channel, wire::Registers& registers) {
  channel.receiving = false;
  channel.taken = 0;
  // The command stays in the queue until the guest acknowledges it.
  if (const std::string* command = tclo_.next(&channel)) channel.outgoing = *command;
  if (!channel.outgoing) return wire::SUCCESS;
  channel.receiving = true;
  registers.rbx = channel.outgoing->size();
  set_high_half(registers.rdx, wire::HOST_SENDSIZE);
  return wire::SUCCESS | wire::DORECV | high_flag();
}

std::uint16_t Channels::receive_payload(Conversation& channel, wire::Registers& registers) {
  if (!channel.receiving) return REFUSED;
  if (!(registers.rbx & wire::SUCCESS)) {
    delivered(channel);
    return wire::SUCCESS;
  }
  const std::string& message = *channel.outgoing;
  std::size_t size = std::min<std::size_t>(4, message.size() - channel.taken);
  if (size == 0) return REFUSED;
  std::uint32_t word = 0;
  std::memcpy(&word, message.data() + channel.taken, size);
  channel.taken += size;
  registers.rbx = word;
  set_high_half(registers.rdx, wire::HOST_SENDPAYLOAD);
  return wire::SUCCESS;
}

std::uint16_t Channels::receive_status(Conversation& channel, bool accepted) {
  if (!channel.receiving) return accepted ? REFUSED : std::uint16_t{wire::SUCCESS};
  if (accepted && channel.taken != channel.outgoing->size()) return REFUSED;
  delivered(channel);
  return wire::SUCCESS;
}

void Channels::arrived(Conversation& channel) {
  channel.sending = false;
  std::string message = std::exchange(channel.incoming, {});
  if (channel.protocol == wire::Protocol::TCLO) {
    tclo_.answered(&channel);
    if (!message.empty()) transcript_.add(MessageKind::TCLO_REPLY, Transport::BACKDOOR, message);
    return;
  }
  std::string reply = answers_.answer(message, Transport::BACKDOOR);
  channel.outgoing = reply;
  transcript_.add(MessageKind::RPCI, Transport::BACKDOOR, std::move(message), std::move(reply));
}

void Channels::delivered(Conversation& channel) {
  if (tclo_.next(&channel)) {
    transcript_.add(MessageKind::TCLO_COMMAND, Transport::BACKDOOR, tclo_.take());
  }
  channel.outgoing.reset();
  channel.receiving = false;
}

void Channels::begin_again(Conversation& channel) {
  channel.sending = false;
  channel.incoming.clear();
  channel.receiving = false;
  channel.taken = 0;
}

void Channels::high_out(wire::Registers& registers, GuestMemory& memory) {
  // The halves of the cookie are in other registers than at low bandwidth, because rsi is the
  // address.
  Conversation* channel = find(registers, static_cast<std::uint32_t>(registers.rbp),
                               static_cast<std::uint32_t>(registers.rdi));
  std::uint16_t status = high_status(wire::SENDPAYLOAD, channel);
  if (status == wire::SUCCESS) status = take_from_guest(*channel, registers, memory);
  set_high_half(registers.rbx, status);
}

void Channels::high_in(wire::Registers& registers, GuestMemory& memory) {
  Conversation* channel = find(registers, static_cast<std::uint32_t>(registers.rsi),
                               static_cast<std::uint32_t>(registers.rbp));
  std::uint16_t status = high_status(wire::RECVPAYLOAD, channel);
  if (status == wire::SUCCESS) status = give_to_guest(*channel, registers, memory);
  set_high_half(registers.rbx, status);
}

// Returns SUCCESS when the transfer may go on.
std::uint16_t Channels::high_status(std::uint16_t step, Conversation* channel) {
  Misbehaviour* how = due(step);
  bool checkpoint = how && how->status && (*how->status & wire::CHECKPOINT);
  if (channel && (checkpoint || checkpoint_due(*channel))) {
    begin_again(*channel);
    return wire::CHECKPOINT;
  }
  if (how && how->status) return *how->status;
  return channel && options_.high_bandwidth ? std::uint16_t{wire::SUCCESS} : REFUSED;
}

std::uint16_t Channels::take_from_guest(Conversation& channel, wire::Registers& registers,
                                        GuestMemory& memory) {
  std::uint64_t size = registers.rcx;
  if ((registers.rbx & 0xFFFF) != wire::HB_MESSAGE || !channel.sending || size == 0 ||
      size > channel.expected - channel.incoming.size()) {
    return REFUSED;
  }
  std::string bytes(size, '\0');
  if (!memory.read(registers.rsi, bytes.data(), size)) return REFUSED;
  channel.incoming += bytes;
  registers.rsi += size;
  registers.rcx = 0;
  if (channel.incoming.size() == channel.expected) arrived(channel);
  return wire::SUCCESS;
}

std::uint16_t Channels::give_to_guest(Conversation& channel, wire::Registers& registers,
                                      GuestMemory& memory) {
  std::uint64_t size = registers.rcx;
  if ((registers.rbx & 0xFFFF) != wire::HB_MESSAGE || !channel.receiving || size == 0 ||
      size > channel.outgoing->size() - channel.taken) {
    return REFUSED;
  }
  if (!memory.write(registers.rdi, channel.outgoing->data() + channel.taken, size)) return REFUSED;
  channel.taken += size;
  registers.rdi += size;
  registers.rcx = 0;
  return wire::SUCCESS;
}

void Channels::lose() {
  for (Conversation& channel : channels_) {
    tclo_.close(&channel);
    channel = Conversation{};
  }
}

int Channels::open_count() const {
  return static_cast<int>(std::count_if(channels_.begin(), channels_.end(),
                                        [](const Conversation& channel) { return channel.open; }));
}

Channels::Conversation* Channels::find(const wire::Registers& registers, std::uint32_t high,
                                       std::uint32_t low) {
  std::uint16_t id = high_half(registers.rdx);
  if (id >= channels_.size()) return nullptr;
  Conversation& channel = channels_[id];
  if (!channel.open) return nullptr;
  if (channel.cookies && (channel.cookie_high != high || channel.cookie_low != low)) return nullptr;
  return &channel;
}

bool Channels::in_flight() const {
  return std::any_of(channels_.begin(), channels_.end(),
                     [](const Conversation& channel) { return channel.in_flight(); });
}

void Channels::checkpoint() {
  for (Conversation& channel : channels_) channel.checkpointed |= channel.in_flight();
}

bool Channels::checkpoint_due(Conversation& channel) {
  bool stunned = std::exchange(channel.checkpointed, false);
  return (options_.checkpoint_every > 0 && ++steps_ % options_.checkpoint_every == 0) || stunned;
}

// Returns the misbehaviour for this step, if there is any. A misbehaviour that is used up stays in
// the list with `times` -1.
Misbehaviour* Channels::due(std::uint16_t step) {
  Misbehaviour* found = nullptr;
  for (Misbehaviour& how : misbehaviours_) {
    if (how.step != step || how.times < 0) continue;
    if (how.after > 0) {
      --how.after;
    } else if (!found) {
      found = &how;
      if (how.times != 0 && --how.times == 0) how.times = -1;
    }
  }
  return found;
}

// This is splitmix64, which looks random and is the same in every run.
std::uint64_t Channels::next_cookie() {
  std::uint64_t mixed = (cookies_ += 0x9E3779B97F4A7C15);
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
  return mixed ^ (mixed >> 31);
}

}  // namespace vmtpy::emulator
