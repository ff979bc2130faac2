// RPCI: the guest asks, the host answers "1 data" or "0 reason". The channel is kept between calls;
// when the host has lost it, it is opened again and the request sent once more.
#pragma once

#include <string>
#include <string_view>

#include "core/channel.h"

namespace vmtpy {

struct RpciReply {
  bool ok = false;   // the host's "1"
  std::string data;  // what follows "1 ", or the reason that follows "0 "
};

class Rpci {
 public:
  explicit Rpci(Backdoor& backdoor, ChannelOptions options = {});
  // Throws ChannelError (no conversation) and MessageSizeError; a "0" answer is not an exception.
  RpciReply call(std::string_view request);
  void close() noexcept;

 private:
  RpciReply call_once(std::string_view request);
  Backdoor& backdoor_;
  Channel channel_;
};

}  // namespace vmtpy
