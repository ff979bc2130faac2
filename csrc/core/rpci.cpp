// RPCI: one request, one reply. The lock is the channel's.
#include "core/rpci.h"

#include "core/errors.h"
#include "core/meter.h"

namespace vmtpy {

Rpci::Rpci(Backdoor& backdoor, ChannelOptions options)
    : backdoor_(backdoor), channel_(backdoor, wire::Protocol::RPCI, options) {}

RpciReply Rpci::call(std::string_view request) {
  count(backdoor_, &Meter::rpcs);
  RpciReply reply = call_once(request);
  // ESXi 5.5 wants some requests from a thread with I/O privilege: asked once more with it.
  if (!reply.ok && reply.data.starts_with("Guest is not privileged") &&
      backdoor_.set_privilege(true)) {
    try {
      reply = call_once(request);
    } catch (...) {
      backdoor_.set_privilege(false);
      throw;
    }
    backdoor_.set_privilege(false);
  }
  if (!reply.ok) count(backdoor_, &Meter::refusals);
  return reply;
}

RpciReply Rpci::call_once(std::string_view request) {
  std::optional<std::string> reply;
  try {
    reply = channel_.exchange(request);
  } catch (const ChannelError&) {
    reply = channel_.exchange(request);  // on a new channel: the failure closed the old one
  }
  if (!reply) {
    channel_.close();  // a reply that came late would be taken for that to the next request
    throw ChannelError("the host gave no reply");
  }
  bool ok = reply->starts_with("1 ");
  if (!ok && !reply->starts_with("0 ")) {
    throw ChannelError("the host's reply of " + std::to_string(reply->size()) +
                       " bytes begins with neither \"1 \" nor \"0 \"");
  }
  return {ok, reply->substr(2)};
}

void Rpci::close() noexcept {
  channel_.close();
}

}  // namespace vmtpy
