// A conversation over a vsock connection: packets of wire/data_map.h on a socket. Connecting goes
// on in the background (advance()), or open() waits for it. Otherwise only two things wait, and for
// `patience` at most, because a host that does not move must not hang a backup: the reply to a
// request, and room to send. Transports remembers what breaks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "wire/channel.h"
#include "wire/data_map.h"
#include "wire/transports.h"

namespace vmtpy::wire {

// Owned by Rpci, Tclo or a test. Any thread may call it (wire/channel.h). It closes its connection
// when it ends.
class VsockChannel final : public Channel {
 public:
  VsockChannel(std::shared_ptr<Transports> transports, wire::Protocol protocol,
               ChannelOptions options = {});
  ~VsockChannel() override;

  // Takes connecting one step further without waiting, and begins it unless another conversation
  // has failed with it a short while ago. Returns how the connection then stands.
  VsockState advance();
  void ping();  // sends a sign of life, which the host does not answer
  void set_patience(Duration patience) { patience_ = patience; }
  bool privileged() const { return privileged_; }  // true if the local port is below 1024
  Time opened_at() const { return opened_at_; }    // when the connection opened

  int descriptor() const override { return open_ ? descriptor_.get() : -1; }
  // The descriptor that becomes writable when connecting is over.
  int connecting_descriptor() const { return open_ ? -1 : descriptor_.get(); }
  Time connect_by() const { return connect_by_; }
  // True when something is to be done: the host has said something or has gone, or connecting is
  // over.
  bool ready() const;
  // True when messages have arrived that nobody has read.
  bool backlog() const { return decoder_.backlog(); }

 private:
  void connect() override;
  void disconnect() noexcept override;
  void write(std::string_view message, bool last) override;
  std::optional<std::string> read() override;
  std::optional<std::string> read_reply() override;
  void broke(const char* why) override;
  RecordedTransport transport() const override {
    return privileged_ ? RecordedTransport::PRIVILEGED_VSOCK : RecordedTransport::VSOCK;
  }

  void begin_connecting();
  bool dial();
  bool worth_another(int error);
  VsockState take_step();
  VsockState give_up(int error);
  void send_packet(const Packet& packet);
  bool await(short events, Time deadline) const;
  bool fill();

  const std::shared_ptr<Transports> transports_;
  const wire::Protocol protocol_;
  const ChannelOptions options_;
  PacketDecoder decoder_;
  Duration patience_ = std::chrono::seconds(30);
  UniqueFd descriptor_;
  int resets_ = 0;   // how many attempts in a row were reset
  int retries_ = 0;  // how many attempts failed for other reasons
  bool privileged_ = false;
  Time connect_by_{};
  Time opened_at_{};
};

}  // namespace vmtpy::wire
