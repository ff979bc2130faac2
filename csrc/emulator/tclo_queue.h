// The host's commands (TCLO) on their way to the guest. A virtual machine has one client for them:
// the channel or connection that was opened last, by whichever way. It serves emulator/channels.h
// and emulator/vsock/vsock_service.h.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>

namespace vmtpy::emulator {

// Owned by the Device and as long-lived. Every call is made under the Device's lock.
class TcloQueue {
 public:
  using Client = const void*;
  using Wake = std::function<void()>;  // may not call back into the queue

  void send(std::string command);

  // A client that does not poll has a `wake`, which is called when a command is there for it and
  // when it has been replaced. Such a client need not speak before it gets its first command.
  void open(Client client, Wake wake = {});
  void close(Client client);
  bool is_current(Client client) const { return client == client_; }
  bool seen() const { return seen_; }  // there is a client and it has spoken, if it has to

  // Returns the command that the client gets now, nullptr if there is none. The command stays until
  // it is taken.
  const std::string* next(Client client) const;
  // Takes the command. The next one follows when this one has been answered.
  std::string take();
  void answered(Client client);  // called also for the empty answers of polls

 private:
  void wake() const {
    if (wake_) wake_();
  }

  std::deque<std::string> commands_;
  Client client_ = nullptr;
  Wake wake_;
  bool ready_ = false;  // true when the client has answered since the last command
  bool seen_ = false;
};

}  // namespace vmtpy::emulator
