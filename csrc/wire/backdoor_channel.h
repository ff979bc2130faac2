// A message channel by traps: open, send, receive and close, over either bandwidth. It uses cookies
// where the host knows them, and begins the whole transfer again when the host answers CHECKPOINT.
// It serves RPCI and TCLO.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/channel.h"

namespace vmtpy::wire {

// Owned by Rpci, Tclo or a test. Any thread may call it (wire/channel.h). It closes its channel
// when it ends, and the backdoor must live longer.
class BackdoorChannel final : public Channel {
 public:
  BackdoorChannel(Backdoor& backdoor, wire::Protocol protocol, ChannelOptions options = {});
  ~BackdoorChannel() override;

 private:
  struct Answer;
  enum class Transfer { DONE, RESTART, NOTHING };

  void connect() override;
  void disconnect() noexcept override;
  void write(std::string_view message, bool last) override;
  std::optional<std::string> read() override;
  RecordedTransport transport() const override { return RecordedTransport::BACKDOOR; }

  bool try_open(bool cookies);
  Transfer send_once(std::string_view message);
  Transfer receive_once(std::string& message);
  Transfer send_payload(std::string_view message, bool high_bandwidth);
  Transfer receive_payload(std::string& message, bool high_bandwidth);
  void refuse(wire::MessageStep step);
  bool high_bandwidth() const;  // whether this side may use it when the host offers it

  Answer step(wire::MessageStep step, std::uint32_t argument);
  std::uint16_t high_out(std::string_view message);  // both functions return the status
  std::uint16_t high_in(std::string& message);

  const wire::Protocol protocol_;
  const ChannelOptions options_;
  std::uint16_t id_ = 0;
  std::uint32_t cookie_high_ = 0;
  std::uint32_t cookie_low_ = 0;
};

}  // namespace vmtpy::wire
