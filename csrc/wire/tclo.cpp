// TCLO over both transports. Over the backdoor an idle poll is two traps (the empty message, and
// the question for a command); over vsock it is none, and a ping each second.
#include "wire/tclo.h"

#include <algorithm>

#include "base/errors.h"

namespace vmtpy::wire {
namespace {

constexpr int MAX_REFUSALS = 4;  // the most over-large commands answered within one poll
constexpr int MAX_NO_OPS = 64;   // the most empty messages skipped within one poll
constexpr Duration PING = std::chrono::seconds(1);
// An answer counts as lost with its connection only for this time after it was written. If it were
// sent later, a host could take it for the answer to a command that was lost: "OK " to
// snapshotDone.
constexpr Duration UNCERTAIN = std::chrono::seconds(1);
// Connecting takes less than a millisecond where the host listens. If the guest began with the
// backdoor, it would have to announce itself twice at every start.
constexpr Duration HEAD_START = std::chrono::milliseconds(100);
// A host begins with a reset. A host that accepts the connection and never speaks would leave this
// guest without commands although the backdoor can serve.
constexpr Duration SILENCE = std::chrono::seconds(10);

}  // namespace

Tclo::Tclo(Backdoor& backdoor, ChannelOptions options)
    : Tclo(std::make_shared<Transports>(backdoor), options) {}

Tclo::Tclo(std::shared_ptr<Transports> transports, ChannelOptions options)
    : transports_(std::move(transports)),
      backdoor_channel_(transports_->backdoor(), wire::Protocol::TCLO, options),
      vsock_(transports_, wire::Protocol::TCLO, options) {}

std::optional<std::string> Tclo::poll() {
  backdoor_channel_.check_process();
  vsock_.check_process();
  MutexLock lock(mutex_);
  waiting_ = false;
  if (transport_ == Transport::VSOCK) {
    try {
      return poll_vsock();
    } catch (const ChannelError&) {
      lost_vsock();
      if (!transports_->backdoor_serves()) throw;
    }
  }
  return poll_by_choice();
}

std::optional<std::string> Tclo::poll_by_choice() {
  const VsockState vsock = vsock_.advance();
  if (begun_ == Time{}) begun_ = transports_->clock().now();
  switch (transports_->choose(vsock)) {
    case Choice::VSOCK:
      // The host accepts one client per virtual machine, so the backdoor sends its last message
      // before vsock begins.
      if (!owed_.empty() && backdoor_channel_.is_open()) {
        try {
          deliver();
        } catch (const ChannelError&) {  // the answer goes over vsock
        }
      }
      backdoor_channel_.close();
      use(Transport::VSOCK);
      try {
        return poll_vsock();
      } catch (const ChannelError&) {
        lost_vsock();
        if (!transports_->backdoor_serves()) throw;
        return poll_backdoor();
      }
    case Choice::BACKDOOR:
      waiting_ = vsock == VsockState::CONNECTING && worth_waiting();
      if (waiting_) return std::nullopt;
      return poll_backdoor();
    case Choice::WAIT:
      waiting_ = true;
      return std::nullopt;
    case Choice::NONE:
      break;
  }
  const std::string trouble = transports_->trouble(wire::Protocol::TCLO);
  throw ChannelError(trouble.empty() ? "neither vsock nor a backdoor reaches the host" : trouble);
}

bool Tclo::worth_waiting() {
  return last_ == Transport::NONE && transports_->clock().now() - begun_ < HEAD_START;
}

Time Tclo::due() const {
  if (vsock_.backlog()) return Time{};
  if (transport_ == Transport::VSOCK && pinged_ != Time{}) return pinged_ + PING;
  if (transport_ == Transport::VSOCK)
    return transports_->backdoor_serves() ? heard_by() : Time::max();
  return last_ == Transport::NONE && transports_->backdoor_serves() ? begun_ + HEAD_START
                                                                    : vsock_.connect_by();
}

void Tclo::use(Transport transport) {
  transport_ = transport;
  if (std::exchange(last_, transport) != transport) changed_ = true;
}

void Tclo::lost_vsock() {
  const bool recent = transports_->clock().now() - uncertain_since_ < UNCERTAIN;
  if (owed_.empty() && recent) owed_ = std::move(uncertain_);
  uncertain_.clear();
  pinged_ = {};
  transport_ = Transport::NONE;
}

std::optional<std::string> Tclo::poll_vsock() {
  const Time now = transports_->clock().now();
  if (!owed_.empty()) {
    vsock_.send(owed_);
    uncertain_ = std::exchange(owed_, "");
    uncertain_since_ = pinged_ = now;
  } else if (pinged_ != Time{} && now >= pinged_ + PING) {
    vsock_.ping();
    pinged_ = now;
  }
  for (int no_ops = 0; no_ops < MAX_NO_OPS; ++no_ops) {
    std::optional<std::string> command = vsock_.receive();
    if (!command) break;
    uncertain_.clear();
    if (!command->empty()) return command;
  }
  if (pinged_ == Time{} && now >= heard_by() && transports_->backdoor_serves()) {
    const char* why = "the host accepts vsock connections and says nothing";
    vsock_.close();
    transports_->failed(wire::Protocol::TCLO, why);
    throw ChannelError(why);
  }
  return std::nullopt;
}

Time Tclo::heard_by() const {
  return vsock_.opened_at() + SILENCE;
}

std::optional<std::string> Tclo::poll_backdoor() {
  for (int refusals = 0; refusals < MAX_REFUSALS; ++refusals) {
    deliver();
    use(Transport::BACKDOOR);
    try {
      std::optional<std::string> command = backdoor_channel_.receive();
      if (command && command->empty()) return std::nullopt;  // a no-op needs no answer
      return command;
    } catch (const MessageSizeError& error) {
      owed_ = std::string("ERROR ") + error.what();
    }
  }
  return std::nullopt;
}

// Sends the owed answer, or the empty message. The answer stays owed until the host has it.
void Tclo::deliver() {
  backdoor_channel_.open();
  try {
    backdoor_channel_.send(owed_);
  } catch (const ChannelError&) {
    backdoor_channel_.open();
    backdoor_channel_.send(owed_);
  }
  owed_.clear();
}

void Tclo::answer(std::string_view reply) {
  backdoor_channel_.check_process();
  vsock_.check_process();
  if (reply.size() > wire::MAX_MESSAGE) {
    throw MessageSizeError("an answer to the host may have at most " +
                           std::to_string(wire::MAX_MESSAGE) + " bytes, but this one has " +
                           std::to_string(reply.size()));
  }
  MutexLock lock(mutex_);
  owed_ = reply;
}

void Tclo::forget(bool owed) {
  MutexLock lock(mutex_);
  uncertain_.clear();
  if (owed) owed_.clear();
}

void Tclo::close() noexcept {
  Channel& channel = vsock_.is_open() ? static_cast<Channel&>(vsock_) : backdoor_channel_;
  if (channel.is_open()) {
    MutexLock lock(mutex_);
    try {
      // Over the backdoor the empty message is the last sign of life.
      if (!owed_.empty() || !pushed()) channel.send(owed_);
      owed_.clear();
    } catch (const Error&) {  // the host does not listen, so nothing more can be done
    }
  }
  backdoor_channel_.close();
  vsock_.close();
  transport_ = Transport::NONE;
}

}  // namespace vmtpy::wire
