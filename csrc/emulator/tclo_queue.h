// The host's commands (TCLO) on their way to the guest. A virtual machine has one client for them:
// the channel or the connection that was opened last, by whichever way. Not thread-safe: used under
// the lock of emulator/device.h, by emulator/channels.h and for emulator/vsock/vsock_service.h.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>

namespace vmtpy::emulator {

class TcloQueue {
 public:
  using Client = const void*;
  using Wake = std::function<void()>;  // must not call back

  void send(std::string command);

  // A client that is pushed to, not polling, has a `wake`: called when a command is there for it,
  // and when it has been replaced. It has not to speak before it gets its first one.
  void open(Client client, Wake wake = {});
  void close(Client client);
  bool is_current(Client client) const { return client == client_; }
  bool seen() const { return seen_; }  // there is a client and it has spoken, if it must

  // The command that the client is to get now; nullptr: none. It stays until it is taken.
  const std::string* next(Client client) const;
  std::string take();            // the next one is due when this one has been answered
  void answered(Client client);  // also the empty answers of polls

 private:
  void wake() const {
    if (wake_) wake_();
  }

  std::deque<std::string> commands_;
  Client client_ = nullptr;
  Wake wake_;
  bool ready_ = false;  // the client has answered since the last command
  bool seen_ = false;
};

}  // namespace vmtpy::emulator
