// TCLO: the host asks, the guest answers. By the backdoor the guest has to ask for commands: each
// poll() sends the answer to the previous one (or an empty message: the sign of life) and asks for
// the next. Over vsock commands are pushed: the descriptor tells of them, and the guest pings.
// The answer that is owed survives a change between the two; so does one that was just written to a
// connection which then broke, before the host gave a further sign of life.
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

class Tclo {
 public:
  explicit Tclo(Backdoor& backdoor, ChannelOptions options = {});  // that alone
  explicit Tclo(std::shared_ptr<Transports> transports, ChannelOptions options = {});
  // The next command or nothing. A command must be answered (answer()) before the next poll. When
  // the host has lost the channel it is opened again and the answer, which is never dropped, sent
  // once more. Throws ChannelError: the caller waits and polls again. A command that was refused as
  // too large is answered with an error by itself.
  std::optional<std::string> poll();
  // What the next poll() carries: "OK …" or "ERROR …".
  // Throws MessageSizeError for one that is too large to be sent.
  void answer(std::string_view reply);
  // An answer that the host may not have got is not sent again, and with `owed` none that it has
  // not got: it is no longer true, and would be taken for that to the next command.
  void forget(bool owed);
  void close() noexcept;  // sends what is owed or the empty message, then closes

  bool pushed() const { return transport_ == Transport::VSOCK; }  // the host speaks by itself
  bool waiting() const { return waiting_; }      // nobody is reached yet: it is connected to
  bool ready() const { return vsock_.ready(); }  // poll() has something to do now
  Time due()
      const;  // when it has at the latest, if pushed() or waiting(): a ping, an end of patience
  // To wait on, for reading or for writing; -1: nothing.
  int descriptor() const { return vsock_.descriptor(); }
  int connecting_descriptor() const { return vsock_.connecting_descriptor(); }
  // Once for each change of the way to the host: over the new one it does not know this guest.
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
  Time heard_by() const;  // over vsock, when nothing has been said yet
  void use(Transport transport);
  void lost_vsock() REQUIRES(mutex_);
  void deliver() REQUIRES(mutex_);

  const std::shared_ptr<Transports> transports_;
  BackdoorChannel backdoor_channel_;
  VsockChannel vsock_;
  Mutex mutex_;
  Transport transport_ = Transport::NONE;  // by which the host is reached
  Transport last_ = Transport::NONE;       // by which it was reached last
  bool waiting_ = false;
  bool changed_ = false;
  Time begun_{};   // the first attempt to connect over vsock
  Time pinged_{};  // the last packet over vsock; Time{}: no answer has gone over it yet
  std::string owed_ GUARDED_BY(mutex_);  // the answer that the host has not got yet
  // The answer that it may not have got, sent over vsock.
  std::string uncertain_ GUARDED_BY(mutex_);
  Time uncertain_since_ GUARDED_BY(mutex_){};
};

}  // namespace vmtpy::wire
