// RPCI: one request, one reply.
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
  // Where the backdoor can help, a host that stands still is not waited for as long.
  if (transports_->backdoor_serves()) set_patience(std::chrono::seconds(5));
}

RpciReply Rpci::call(std::string_view request, bool last) {
  backdoor_channel_.check_process();
  vsock_.check_process();
  MutexLock lock(mutex_);
  count(transports_->backdoor(), &Meter::rpcs);
  RpciReply reply = call_by_choice(request, last);
  // Secure GuestRPC: some requests are granted only to who must be root.
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
        return call_vsock(request, last);  // on a new connection
      }
    case Choice::NONE:
      break;
  }
  const std::string trouble = transports_->trouble(wire::Protocol::RPCI);
  throw ChannelError(trouble.empty() ? "there is no way to the host" : trouble);
}

RpciReply Rpci::call_vsock(std::string_view request, bool last) {
  over_vsock_ = true;
  const std::optional<std::string> reply = vsock_.exchange(request, last);
  if (last) vsock_.close();   // as the host does
  backdoor_channel_.close();  // the host has a limited number of them
  return parse(reply.value_or(""));
}

RpciReply Rpci::call_backdoor(std::string_view request) {
  over_vsock_ = false;
  Backdoor& backdoor = transports_->backdoor();
  RpciReply reply = call_backdoor_once(request);
  // ESXi 5.5 wants some requests from a thread with I/O privilege: asked once more with it.
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
    reply =
        backdoor_channel_.exchange(request);  // on a new channel: the failure closed the old one
  }
  if (!reply) {
    backdoor_channel_.close();  // one that came late would be taken for that to the next request
    throw ChannelError("the host gave no reply");
  }
  return parse(*reply);
}

// Once more over vsock from a privileged port. Nothing where that is not to be had, or was not a
// short while ago: then the refusal stands.
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

// Not under the lock: in a fork, another thread's call may hold it for ever.
void Rpci::close() noexcept {
  backdoor_channel_.close();
  vsock_.close();
}

}  // namespace vmtpy::wire
