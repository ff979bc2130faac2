// RPCI: the guest asks, and the host answers "1 data" or "0 reason". The channel is kept between
// calls. When the host has lost the channel, it is opened again and the request is sent once more.
// A request over vsock that breaks goes over the backdoor in the same call, if there is one.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/thread_safety.h"
#include "wire/backdoor_channel.h"
#include "wire/transports.h"
#include "wire/vsock_channel.h"

namespace vmtpy::wire {

struct RpciReply {
  bool ok = false;   // the host answered "1"
  std::string data;  // the data after "1 ", or the reason after "0 "
};

// Owned by the HostConversation, or by the Python program that makes one. Any thread may call it: a
// lock serialises the calls. It closes its channels when it ends.
class Rpci {
 public:
  explicit Rpci(Backdoor& backdoor, ChannelOptions options = {});  // uses the backdoor alone
  explicit Rpci(std::shared_ptr<Transports> transports, ChannelOptions options = {});
  // Throws ChannelError when there is no conversation, and MessageSizeError. A "0" answer is not an
  // exception. `last` says that no other request follows for now: the channels are closed after it,
  // and over vsock the host is told to close as well, so that it holds the pair of ports for a
  // shorter time.
  RpciReply call(std::string_view request, bool last = false);
  void close() noexcept;
  // Sets how long a host may take with a reply over vsock. The backdoor's reply is there at once.
  void set_patience(Duration patience) { vsock_.set_patience(patience); }
  bool over_vsock() const { return over_vsock_; }  // true if the last call went over vsock

 private:
  RpciReply call_by_choice(std::string_view request, bool last) REQUIRES(mutex_);
  RpciReply call_vsock(std::string_view request, bool last) REQUIRES(mutex_);
  RpciReply call_backdoor(std::string_view request) REQUIRES(mutex_);
  RpciReply call_backdoor_once(std::string_view request) REQUIRES(mutex_);
  std::optional<RpciReply> call_privileged(std::string_view request, bool last) REQUIRES(mutex_);

  const std::shared_ptr<Transports> transports_;
  BackdoorChannel backdoor_channel_;
  VsockChannel vsock_;
  Mutex mutex_;
  std::atomic<bool> over_vsock_ = false;
};

}  // namespace vmtpy::wire
