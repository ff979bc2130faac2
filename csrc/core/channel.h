// One message channel to the host: open, send, receive, close, over either bandwidth, with cookies
// where the host knows them, and with the whole transfer begun again when the host says CHECKPOINT.
// A channel is one conversation: calls are serialised by a lock, and a channel that was opened
// before a fork refuses to be used after it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/backdoor.h"
#include "core/wire.h"

namespace vmtpy {

struct ChannelOptions {
  bool high_bandwidth = true;                      // false: low bandwidth only
  std::size_t max_receive = wire::MAX_MESSAGE;     // larger messages are refused, the channel stays
};

class Channel {
 public:
  Channel(Backdoor& backdoor, wire::Protocol protocol, ChannelOptions options = {});
  ~Channel();  // closes
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void open();            // throws ChannelError; does nothing when open
  void close() noexcept;  // tells the host, as far as it listens
  bool is_open() const;

  // Throws MessageSizeError before anything is sent, ChannelError when the host refuses.
  void send(std::string_view message);
  // The next message, or nothing when none waits. Throws MessageSizeError for a message that was
  // refused as too large (the channel stays usable), ChannelError otherwise.
  std::optional<std::string> receive();
  // The above two under one lock.
  std::optional<std::string> exchange(std::string_view message);
};

}  // namespace vmtpy
