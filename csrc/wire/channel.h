// A conversation with the host, RPCI or TCLO, over either transport: wire/backdoor_channel.h
// (traps) or wire/vsock_channel.h (a socket). It serves Rpci and Tclo.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/errors.h"
#include "base/thread_safety.h"
#include "wire/backdoor.h"
#include "wire/recorder.h"
#include "wire/wire.h"

namespace vmtpy::wire {

struct ChannelOptions {
  bool high_bandwidth = true;                   // false for low bandwidth only
  std::size_t max_receive = wire::MAX_MESSAGE;  // larger messages of the host are refused
};

// Owned by Rpci, Tclo or the Python object that holds it, and closed when it ends. Any thread may
// call it: a lock serialises the calls. No signal handler may use it, and in a fork of the process
// that opened it every call throws.
class Channel {
 public:
  virtual ~Channel() = default;  // the derived classes close the channel
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void open();            // throws ChannelError; does nothing when it is open
  void close() noexcept;  // tells the host, if the host listens
  bool is_open() const;

  // Throws MessageSizeError before anything is sent, and ChannelError when the host refuses or
  // breaks off. After a ChannelError the channel is closed.
  void send(std::string_view message);
  // Returns the next message, or nothing when none waits. Throws MessageSizeError for a message
  // that was refused as too large, after which the channel stays usable, and ChannelError
  // otherwise, after which it is closed.
  std::optional<std::string> receive();
  // Sends a request and receives its reply under one lock, and opens the channel first if it is
  // closed. `last` says that no other request follows. Where a request can carry that, the host
  // closes the connection together with its reply.
  std::optional<std::string> exchange(std::string_view message, bool last = false);

  // Throws ChannelError in a fork of the process that opened the channel.
  void check_process() const;
  // Returns the descriptor that becomes readable when the host says something, -1 where the host
  // has to be asked.
  virtual int descriptor() const { return -1; }

 protected:
  // The meter of `backdoor`, if it has one, counts the conversations that break.
  explicit Channel(Backdoor& backdoor) : backdoor_(backdoor) {}

  // The functions of the transport, which are all called under the lock. connect() and write()
  // throw ChannelError.
  virtual void connect() = 0;  // sets open_
  virtual void disconnect() noexcept = 0;
  virtual void write(std::string_view message, bool last) = 0;
  virtual std::optional<std::string> read() = 0;
  virtual std::optional<std::string> read_reply() { return read(); }
  virtual RecordedTransport transport() const = 0;
  // Called when the conversation has broken, before it is closed.
  virtual void broke(const char* /*why*/) {}

  // Runs `work` under the lock. When a conversation has broken the channel is closed and not used
  // again, because the host may be in the middle of anything.
  template <typename Work>
  auto guarded(Work work) {
    check_process();
    MutexLock lock(mutex_);
    try {
      return work();
    } catch (const ChannelError& error) {
      fail_locked(error.what());
      throw;
    }
  }
  // Makes the channel this process's own from now on.
  void own();
  void close_locked() noexcept;

  Backdoor& backdoor_;
  mutable Mutex mutex_;
  bool open_ = false;

 private:
  void fail_locked(const char* why) REQUIRES(mutex_);
  void record(RecordedKind kind, std::string_view request, std::string_view reply = {}) const;
  // The process that opened the channel, 0 if none has.
  std::atomic<pid_t> opened_by_ = 0;
};

}  // namespace vmtpy::wire
