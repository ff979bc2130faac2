// A conversation over a vsock connection: packets of wire/data_map.h on a socket. Connecting goes
// on in the background (advance()) or is waited for (open()); nothing else waits, except for the
// reply to a request and for room to send in, and these for `patience` at most: a host that stands
// still must not hang a backup. What breaks is told to the Transports, which remember it.
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

class VsockChannel final : public Channel {
 public:
  VsockChannel(std::shared_ptr<Transports> transports, wire::Protocol protocol,
               ChannelOptions options = {});
  ~VsockChannel() override;

  // Takes connecting one step further, without any waiting; begins it if nobody else has failed
  // with it a short while ago. How it stands then.
  VsockState advance();
  void ping();  // a sign of life, which the host does not answer
  void set_patience(Duration patience) { patience_ = patience; }
  bool privileged() const { return privileged_; }  // the connection comes from a port below 1024
  Time opened_at() const { return opened_at_; }    // of the connection

  int descriptor() const override { return open_ ? descriptor_.get() : -1; }
  int connecting_descriptor() const { return open_ ? -1 : descriptor_.get(); }  // becomes writable
  Time connect_by() const { return connect_by_; }
  // Something is to be done: the host has said something or has gone, or connecting is over.
  bool ready() const;
  bool backlog() const { return decoder_.backlog(); }  // messages have arrived that nobody has read

 private:
  void connect() override;
  void disconnect() noexcept override;
  void write(std::string_view message, bool last) override;
  std::optional<std::string> read() override;
  std::optional<std::string> read_reply() override;
  void broke(const char* why) override;

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
  int resets_ = 0;   // of attempts in a row
  int retries_ = 0;  // for other reasons
  bool privileged_ = false;
  Time connect_by_{};
  Time opened_at_{};
};

}  // namespace vmtpy::wire
