// One message channel to the host: open, send, receive, close, over either bandwidth, with cookies
// where the host knows them, and with the whole transfer begun again when the host says CHECKPOINT.
// A channel is one conversation: calls are serialised by a lock, and a channel that was opened
// before a fork refuses to be used after it. No signal handler may use one.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/backdoor.h"
#include "core/wire.h"

namespace vmtpy {

struct ChannelOptions {
  bool high_bandwidth = true;                   // false: low bandwidth only
  std::size_t max_receive = wire::MAX_MESSAGE;  // larger messages are refused, the channel stays
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

  // Throws MessageSizeError before anything is sent, ChannelError when the host refuses or breaks
  // off; the channel is then closed.
  void send(std::string_view message);
  // The next message, or nothing when none waits. Throws MessageSizeError for a message that was
  // refused as too large (the channel stays usable), ChannelError otherwise (it is closed).
  std::optional<std::string> receive();
  // The above two under one lock, on a channel that is opened first if need be.
  std::optional<std::string> exchange(std::string_view message);

  void check_process() const;  // throws ChannelError in a fork of the process that opened it

 private:
  struct Answer;
  enum class Transfer { DONE, RESTART, NOTHING };

  void open_locked();
  void close_locked() noexcept;
  void send_locked(std::string_view message);
  std::optional<std::string> receive_locked();
  template <typename Work>
  auto guarded(Work work);

  bool try_open(bool cookies);
  Transfer send_once(std::string_view message);
  Transfer receive_once(std::string& message);
  Transfer send_payload(std::string_view message, bool high_bandwidth);
  Transfer receive_payload(std::string& message, bool high_bandwidth);
  void refuse(wire::MessageStep step);
  bool high_bandwidth() const;  // may it be used, if the host offers it?

  Answer step(wire::MessageStep step, std::uint32_t argument);
  std::uint16_t high_out(std::string_view message);  // both return the status
  std::uint16_t high_in(std::string& message);

  Backdoor& backdoor_;
  const wire::Protocol protocol_;
  const ChannelOptions options_;
  mutable std::mutex mutex_;
  std::atomic<pid_t> opened_by_ = 0;  // the process that opened it; 0: none
  bool open_ = false;
  std::uint16_t id_ = 0;
  std::uint32_t cookie_high_ = 0;
  std::uint32_t cookie_low_ = 0;
};

}  // namespace vmtpy
