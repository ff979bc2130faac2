// One request and its reply, and the second attempts where the first way fails. It relies on
// Transports for the choice of the way.
#include "wire/rpci.h"

#include "base/errors.h"
#include "wire/meter.h"

namespace vmtpy::wire {

namespace {

RpciReply parse(const std::string& reply) {
  const bool ok = reply.starts_with("1 ");
  if (!ok && !reply.starts_with("0 ")) {
    throw ChannelError("the host's reply of " + std::to_string(reply.size()) +
                       " bytes begins with neither \"1 \" nor \"0 \"");
  }
  return {ok, reply.substr(2)};
}

}  // namespace

Rpci::Rpci(Backdoor& backdoor, ChannelOptions options)
    : Rpci(std::make_shared<Transports>(backdoor), options) {}

Rpci::Rpci(std::shared_ptr<Transports> transports, ChannelOptions options)
    : transports_(std::move(transports)),
      backdoor_channel_(transports_->backdoor(), wire::Protocol::RPCI, options),
      vsock_(transports_, wire::Protocol::RPCI, options) {
  // Where the backdoor can help, the wait for a host that does not move is shorter.
  if (transports_->backdoor_serves()) set_patience(std::chrono::seconds(5));
}

RpciReply Rpci::call(std::string_view request, bool last) {
  backdoor_channel_.check_process();
  vsock_.check_process();
  MutexLock lock(mutex_);
  count(transports_->backdoor(), &Meter::rpcs);
  RpciReply reply = call_by_choice(request, last);
  // Secure GuestRPC grants some requests only to a sender that must be root.
  if (!reply.ok && reply.data.starts_with("Permission denied")) {
    if (std::optional<RpciReply> other = call_privileged(request, last)) reply = std::move(*other);
  }
  if (!reply.ok) count(transports_->backdoor(), &Meter::refusals);
  if (last) close();
  return reply;
}

RpciReply Rpci::call_by_choice(std::string_view request, bool last) {
  const Choice choice = transports_->choose(vsock_.advance());
  switch (choice) {
    case Choice::BACKDOOR:
      return call_backdoor(request);
    case Choice::VSOCK:
    case Choice::WAIT:
      try {
        return call_vsock(request, last);
      } catch (const ChannelError&) {
        if (transports_->backdoor_serves()) return call_backdoor(request);
        if (choice == Choice::WAIT) throw;
        return call_vsock(request, last);  // goes over a new connection
      }
    case Choice::NONE:
      break;
  }
  const std::string trouble = transports_->trouble(wire::Protocol::RPCI);
  throw ChannelError(trouble.empty() ? "neither vsock nor a backdoor reaches the host" : trouble);
}

RpciReply Rpci::call_vsock(std::string_view request, bool last) {
  over_vsock_ = true;
  const std::optional<std::string> reply = vsock_.exchange(request, last);
  if (last) vsock_.close();   // the host closes it, too
  backdoor_channel_.close();  // the host has a limited number of channels
  return parse(reply.value_or(""));
}

RpciReply Rpci::call_backdoor(std::string_view request) {
  over_vsock_ = false;
  Backdoor& backdoor = transports_->backdoor();
  RpciReply reply = call_backdoor_once(request);
  // ESXi 5.5 requires I/O privilege for some requests, so the request is sent once more with it.
  if (!reply.ok && reply.data.starts_with("Guest is not privileged") &&
      backdoor.set_privilege(true)) {
    try {
      reply = call_backdoor_once(request);
    } catch (...) {
      backdoor.set_privilege(false);
      throw;
    }
    backdoor.set_privilege(false);
  }
  return reply;
}

RpciReply Rpci::call_backdoor_once(std::string_view request) {
  std::optional<std::string> reply;
  try {
    reply = backdoor_channel_.exchange(request);
  } catch (const ChannelError&) {
    // The failure closed the channel, so this opens a new one.
    reply = backdoor_channel_.exchange(request);
  }
  if (!reply) {
    backdoor_channel_.close();  // a late reply would be taken for the reply to the next request
    throw ChannelError("the host gave no reply");
  }
  return parse(*reply);
}

// Sends the request once more over vsock from a privileged port. Returns nothing where no such port
// can be had, or could not a short while ago. Then the refusal stands.
std::optional<RpciReply> Rpci::call_privileged(std::string_view request, bool last) {
  const bool connected = vsock_.is_open();
  if (transports_->dialer() == nullptr || (over_vsock_ && vsock_.privileged())) return std::nullopt;
  if (!connected && !transports_->may_dial(wire::Protocol::RPCI)) return std::nullopt;
  try {
    vsock_.open();
    if (!vsock_.privileged()) return std::nullopt;
    return call_vsock(request, last);
  } catch (const ChannelError&) {
    return std::nullopt;
  }
}

// This takes no lock, because in a fork another thread's call may hold it for ever.
void Rpci::close() noexcept {
  backdoor_channel_.close();
  vsock_.close();
}

}  // namespace vmtpy::wire
