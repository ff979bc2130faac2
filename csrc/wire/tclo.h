// TCLO: the host commands, the guest answers. Over the backdoor the guest has to ask for commands:
// each poll() sends the answer to the previous one (or an empty message, the sign of life) and asks
// for the next. Over vsock the host pushes commands, the descriptor tells of them, and the guest
// pings. The owed answer survives a change between the two. So does an answer that was just written
// to a connection which then broke, before the host gave a further sign of life.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/thread_safety.h"
#include "wire/backdoor_channel.h"
#include "wire/transports.h"
#include "wire/vsock_channel.h"

namespace vmtpy::wire {

// Owned by the HostConversation, used by the loop's thread, and as long-lived as its owner. It
// closes its channels when it ends.
class Tclo {
 public:
  explicit Tclo(Backdoor& backdoor, ChannelOptions options = {});  // uses the backdoor alone
  explicit Tclo(std::shared_ptr<Transports> transports, ChannelOptions options = {});
  // Returns the next command or nothing. A command must be answered (answer()) before the next
  // poll. When the host has lost the channel, it is opened again and the answer, which is never
  // dropped, is sent once more. Throws ChannelError, after which the caller waits and polls again.
  // poll() itself answers a command that was refused as too large with an error.
  std::optional<std::string> poll();
  // Sets what the next poll() carries: "OK …" or "ERROR …". Throws MessageSizeError for an answer
  // that is too large to be sent.
  void answer(std::string_view reply);
  // Drops an answer that the host may not have got, and with `owed` also the answer that it has not
  // got. Such an answer is no longer true, and the host would take it for the answer to the next
  // command.
  void forget(bool owed);
  // Sends the owed answer or the empty message, then closes.
  void close() noexcept;

  bool pushed() const {
    return transport_ == Transport::VSOCK;
  }  // true when the host pushes commands
  // True while a connection is being made and no host is reached yet.
  bool waiting() const { return waiting_; }
  bool ready() const { return vsock_.ready(); }  // true when poll() has something to do
  // The time at which poll() has something to do at the latest, if pushed() or waiting(): a ping,
  // or the end of patience.
  Time due() const;
  // The descriptors to wait on, the first for reading and the second for writing. -1 means none.
  int descriptor() const { return vsock_.descriptor(); }
  int connecting_descriptor() const { return vsock_.connecting_descriptor(); }
  // Returns true once for each change of the way to the host, because over a new way the host does
  // not know this guest.
  bool take_change() { return std::exchange(changed_, false); }
  std::string transport() const { return transports_->name(pushed()); }
  std::string reason() const { return transports_->reason(wire::Protocol::TCLO, pushed()); }
  void set_patience(Duration patience) { vsock_.set_patience(patience); }

 private:
  enum class Transport { NONE, BACKDOOR, VSOCK };
  std::optional<std::string> poll_by_choice() REQUIRES(mutex_);
  std::optional<std::string> poll_vsock() REQUIRES(mutex_);
  std::optional<std::string> poll_backdoor() REQUIRES(mutex_);
  bool worth_waiting();
  // The time until which the host must have spoken over a new vsock connection.
  Time heard_by() const;
  void use(Transport transport);
  void lost_vsock() REQUIRES(mutex_);
  void deliver() REQUIRES(mutex_);

  const std::shared_ptr<Transports> transports_;
  BackdoorChannel backdoor_channel_;
  VsockChannel vsock_;
  Mutex mutex_;
  Transport transport_ = Transport::NONE;  // the transport by which the host is reached
  Transport last_ = Transport::NONE;       // the transport by which it was reached last
  bool waiting_ = false;
  bool changed_ = false;
  Time begun_{};  // when the first attempt to connect over vsock was made
  // When the last packet went over vsock. Time{} while no answer has gone over it.
  Time pinged_{};
  std::string owed_ GUARDED_BY(mutex_);  // the answer that the host has not got yet
  // The answer that was sent over vsock and that the host may not have got.
  std::string uncertain_ GUARDED_BY(mutex_);
  Time uncertain_since_ GUARDED_BY(mutex_){};
};

}  // namespace vmtpy::wire
