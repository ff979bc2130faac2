// TCLO: the host asks, the guest answers. There is no way for the host to call: each poll() sends
// the answer to the previous command (or an empty message: the sign of life) and asks for the next.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/channel.h"

namespace vmtpy {

class Tclo {
 public:
  explicit Tclo(Backdoor& backdoor, ChannelOptions options = {});
  // The next command or nothing. A command must be answered (answer()) before the next poll. When
  // the host has lost the channel it is opened again and the answer, which is never dropped, sent
  // once more. Throws ChannelError: the caller waits and polls again. A command that was refused as
  // too large is answered with an error by itself.
  std::optional<std::string> poll();
  // What the next poll() carries: "OK …" or "ERROR …".
  // Throws MessageSizeError for one that is too large to be sent.
  void answer(std::string_view reply);
  void close() noexcept;  // sends what is owed or the empty message, then closes

 private:
  void deliver();
  Channel channel_;
  std::mutex mutex_;
  std::string owed_;  // the answer that the host has not got yet
};

}  // namespace vmtpy
