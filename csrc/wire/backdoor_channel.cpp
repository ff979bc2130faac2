// The message channel, step by step: wire/wire.h has the steps, their statuses and the sources for
// both. wire/channel.h says what a caller may rely on.
#include "wire/backdoor_channel.h"

#include <cstdio>

#include "base/errors.h"
#include "wire/meter.h"

namespace vmtpy::wire {
namespace {

// A checkpoint means that the machine was suspended, copied or moved at that moment. That happens
// once, perhaps twice in a row. The limit keeps a host that always says so from holding the thread
// for ever.
constexpr int MAX_RESTARTS = 8;

constexpr std::size_t WORD = 4;  // the bytes of payload in one trap at low bandwidth

std::uint32_t low32(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
std::uint16_t high16(std::uint64_t value) {
  return static_cast<std::uint16_t>(low32(value) >> 16);
}
std::uint64_t halves(std::uint16_t high, std::uint16_t low) {
  return static_cast<std::uint32_t>(high) << 16 | low;
}

const char* name_of(wire::MessageStep step) {
  static constexpr const char* NAMES[] = {"OPEN",        "SENDSIZE",   "SENDPAYLOAD", "RECVSIZE",
                                          "RECVPAYLOAD", "RECVSTATUS", "CLOSE"};
  return NAMES[step];
}

std::string hexadecimal(std::uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%x", value);
  return text;
}

[[noreturn]] void fail(wire::MessageStep step, std::uint16_t status) {
  throw ChannelError("the host refused " + std::string(name_of(step)) + " (status " +
                     hexadecimal(status) + ")");
}

bool succeeded(std::uint16_t status) {
  return (status & wire::SUCCESS) != 0;
}

// Says, after a step that did not succeed, whether the whole transfer begins again.
bool is_checkpoint(std::uint16_t status) {
  return !succeeded(status) && (status & wire::CHECKPOINT) != 0;
}

}  // namespace

// The answer to a step at low bandwidth. Only 32 bits of each register have a meaning.
struct BackdoorChannel::Answer {
  std::uint16_t status;  // ecx high half
  std::uint32_t ebx;
  std::uint16_t edx_high;
  std::uint32_t esi;
  std::uint32_t edi;
};

BackdoorChannel::BackdoorChannel(Backdoor& backdoor, wire::Protocol protocol,
                                 ChannelOptions options)
    : Channel(backdoor), protocol_(protocol), options_(options) {}

BackdoorChannel::~BackdoorChannel() {
  close();
}

bool BackdoorChannel::high_bandwidth() const {
  return options_.high_bandwidth && backdoor_.high_bandwidth();
}

// --- open and close --------------------------------------------------------------------------

void BackdoorChannel::connect() {
  own();
  // Hosts that are older than cookies refuse their flag.
  if (!try_open(true) && !try_open(false)) {
    throw ChannelError(
        "the host opens no message channel (it has none to give, or only answers GETVERSION, as "
        "QEMU's vmport does)");
  }
}

bool BackdoorChannel::try_open(bool cookies) {
  id_ = 0;
  cookie_high_ = cookie_low_ = 0;
  Answer answer =
      step(wire::OPEN, static_cast<std::uint32_t>(protocol_) | (cookies ? wire::COOKIES : 0));
  if (!succeeded(answer.status)) return false;
  id_ = answer.edx_high;
  if (cookies) {
    cookie_high_ = answer.esi;
    cookie_low_ = answer.edi;
  }
  open_ = true;
  count(backdoor_, &Meter::opens);
  return true;
}

void BackdoorChannel::disconnect() noexcept {
  if (open_) step(wire::CLOSE, 0);  // whatever the host answers, nothing more can be done
}

// --- send ------------------------------------------------------------------------------------

void BackdoorChannel::write(std::string_view message, bool /*last*/) {
  if (message.size() > wire::MAX_MESSAGE) {
    throw MessageSizeError("a message to the host may have at most " +
                           std::to_string(wire::MAX_MESSAGE) + " bytes, but this one has " +
                           std::to_string(message.size()));
  }
  if (!open_) throw ChannelError("the channel is not open");
  for (int restart = 0; restart <= MAX_RESTARTS; ++restart) {
    if (send_once(message) == Transfer::DONE) return;
  }
  throw ChannelError("the host answered CHECKPOINT to every attempt to send");
}

BackdoorChannel::Transfer BackdoorChannel::send_once(std::string_view message) {
  Answer answer = step(wire::SENDSIZE, static_cast<std::uint32_t>(message.size()));
  if (is_checkpoint(answer.status)) return Transfer::RESTART;
  if (!succeeded(answer.status)) fail(wire::SENDSIZE, answer.status);
  if (message.empty()) return Transfer::DONE;
  return send_payload(message, high_bandwidth() && (answer.status & wire::HB) != 0);
}

BackdoorChannel::Transfer BackdoorChannel::send_payload(std::string_view message,
                                                        bool high_bandwidth) {
  if (high_bandwidth) {
    std::uint16_t status = high_out(message);
    if (is_checkpoint(status)) return Transfer::RESTART;
    if (!succeeded(status)) fail(wire::SENDPAYLOAD, status);
    return Transfer::DONE;
  }
  for (std::size_t offset = 0; offset < message.size(); offset += WORD) {
    std::uint32_t word = 0;  // the first byte is the lowest; missing bytes are zero
    std::string_view bytes = message.substr(offset, WORD);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      word |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    Answer answer = step(wire::SENDPAYLOAD, word);
    if (is_checkpoint(answer.status)) return Transfer::RESTART;
    if (!succeeded(answer.status)) fail(wire::SENDPAYLOAD, answer.status);
  }
  return Transfer::DONE;
}

// --- receive ---------------------------------------------------------------------------------

std::optional<std::string> BackdoorChannel::read() {
  if (!open_) throw ChannelError("the channel is not open");
  std::string message;
  for (int restart = 0; restart <= MAX_RESTARTS; ++restart) {
    switch (receive_once(message)) {
      case Transfer::DONE:
        return message;
      case Transfer::NOTHING:
        return std::nullopt;
      case Transfer::RESTART:
        break;
    }
  }
  throw ChannelError("the host answered CHECKPOINT to every attempt to receive");
}

BackdoorChannel::Transfer BackdoorChannel::receive_once(std::string& message) {
  Answer answer = step(wire::RECVSIZE, 0);
  if (is_checkpoint(answer.status)) return Transfer::RESTART;
  if (!succeeded(answer.status)) fail(wire::RECVSIZE, answer.status);
  if ((answer.status & wire::DORECV) == 0) return Transfer::NOTHING;
  std::uint32_t size = answer.ebx;
  wire::MessageStep next = size == 0 ? wire::RECVSTATUS : wire::RECVPAYLOAD;
  if (answer.edx_high != wire::HOST_SENDSIZE) {
    refuse(next);
    throw ChannelError("the host answered RECVSIZE with step " + std::to_string(answer.edx_high));
  }
  if (size > options_.max_receive) {
    refuse(next);
    throw MessageSizeError("the host's message of " + std::to_string(size) +
                           " bytes was refused: the limit is " +
                           std::to_string(options_.max_receive) + " bytes");
  }
  message.assign(size, '\0');
  bool high = high_bandwidth() && (answer.status & wire::HB) != 0;
  if (receive_payload(message, high) == Transfer::RESTART) return Transfer::RESTART;
  answer = step(wire::RECVSTATUS, wire::SUCCESS);
  if (is_checkpoint(answer.status)) return Transfer::RESTART;
  if (!succeeded(answer.status)) fail(wire::RECVSTATUS, answer.status);
  return Transfer::DONE;
}

BackdoorChannel::Transfer BackdoorChannel::receive_payload(std::string& message,
                                                           bool high_bandwidth) {
  if (message.empty()) return Transfer::DONE;  // a no-op message is acknowledged all the same
  if (high_bandwidth) {
    std::uint16_t status = high_in(message);
    if (is_checkpoint(status)) return Transfer::RESTART;
    if (!succeeded(status)) fail(wire::RECVPAYLOAD, status);
    return Transfer::DONE;
  }
  for (std::size_t offset = 0; offset < message.size(); offset += WORD) {
    Answer answer = step(wire::RECVPAYLOAD, wire::SUCCESS);
    if (is_checkpoint(answer.status)) return Transfer::RESTART;
    if (!succeeded(answer.status)) fail(wire::RECVPAYLOAD, answer.status);
    if (answer.edx_high != wire::HOST_SENDPAYLOAD) {
      refuse(offset + WORD >= message.size() ? wire::RECVSTATUS : wire::RECVPAYLOAD);
      throw ChannelError("the host answered RECVPAYLOAD with step " +
                         std::to_string(answer.edx_high));
    }
    for (std::size_t i = 0; i < WORD && offset + i < message.size(); ++i) {
      message[offset + i] = static_cast<char>(answer.ebx >> (8 * i));
    }
  }
  return Transfer::DONE;
}

// Says "I failed": 0 stands in place of SUCCESS in whichever step the host expects next. The host
// then drops the message.
void BackdoorChannel::refuse(wire::MessageStep next) {
  step(next, 0);
}

// --- one trap --------------------------------------------------------------------------------

BackdoorChannel::Answer BackdoorChannel::step(wire::MessageStep step, std::uint32_t argument) {
  Registers registers;
  registers.rax = wire::MAGIC;
  registers.rbx = argument;
  registers.rcx = halves(step, wire::MESSAGE);
  registers.rdx = halves(id_, wire::PORT_LB);
  registers.rsi = cookie_high_;
  registers.rdi = cookie_low_;
  backdoor_.low(registers);
  return {high16(registers.rcx), low32(registers.rbx), high16(registers.rdx), low32(registers.rsi),
          low32(registers.rdi)};
}

namespace {

Registers high_frame(std::uint16_t id, std::size_t size) {
  Registers registers;
  registers.rax = wire::MAGIC;
  registers.rbx = halves(wire::SUCCESS, wire::HB_MESSAGE);
  registers.rcx = size;
  registers.rdx = halves(id, wire::PORT_HB);
  return registers;
}

// The status is in ebx's high half, and ecx is the number of bytes that were not moved. SUCCESS
// with a part of the bytes left is against the protocol. All of them left is no failure: a host
// that leaves ecx alone looks like that, and the other clients go by the status only.
std::uint16_t high_status(const char* instruction, const Registers& registers, std::size_t size) {
  std::uint16_t status = high16(registers.rbx);
  std::uint32_t residual = low32(registers.rcx);
  if (succeeded(status) && residual != 0 && residual != size) {
    throw ChannelError(std::string("the host ended ") + instruction + " of " +
                       std::to_string(size) + " bytes with " + std::to_string(residual) + " left");
  }
  return status;
}

}  // namespace

// The halves of the cookie are in other registers than at low bandwidth, and differ between the two
// directions, because one register holds the address.
std::uint16_t BackdoorChannel::high_out(std::string_view message) {
  Registers registers = high_frame(id_, message.size());
  registers.rsi = reinterpret_cast<std::uintptr_t>(message.data());
  registers.rdi = cookie_low_;
  registers.rbp = cookie_high_;
  backdoor_.high_out(registers);
  return high_status("rep outsb", registers, message.size());
}

std::uint16_t BackdoorChannel::high_in(std::string& message) {
  Registers registers = high_frame(id_, message.size());
  registers.rsi = cookie_high_;
  registers.rdi = reinterpret_cast<std::uintptr_t>(message.data());
  registers.rbp = cookie_low_;
  backdoor_.high_in(registers);
  return high_status("rep insb", registers, message.size());
}

}  // namespace vmtpy::wire
