// A conversation with the host, RPCI or TCLO, over whichever transport: wire/backdoor_channel.h
// (traps), wire/vsock_channel.h (a socket). Calls are serialised by a lock, and a channel that was
// opened before a fork refuses to be used after it. No signal handler may use one.
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
#include "wire/wire.h"

namespace vmtpy::wire {

struct ChannelOptions {
  bool high_bandwidth = true;                   // false: low bandwidth only
  std::size_t max_receive = wire::MAX_MESSAGE;  // larger messages are refused
};

class Channel {
 public:
  virtual ~Channel() = default;  // the derived ones close
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
  // Sends a request and receives the reply to it under one lock, on a channel that is opened first
  // if need be. `last`: no other follows; where a request can say so, the host closes the
  // connection together with its reply.
  std::optional<std::string> exchange(std::string_view message, bool last = false);

  void check_process() const;  // throws ChannelError in a fork of the process that opened it
  // What becomes readable when the host says something; -1: it has to be asked.
  virtual int descriptor() const { return -1; }

 protected:
  // What breaks is counted by the meter of `backdoor`, if it has one.
  explicit Channel(Backdoor& backdoor) : backdoor_(backdoor) {}

  // The transport's part; all under the lock. connect() and write() throw ChannelError.
  virtual void connect() = 0;  // sets open_
  virtual void disconnect() noexcept = 0;
  virtual void write(std::string_view message, bool last) = 0;
  virtual std::optional<std::string> read() = 0;
  virtual std::optional<std::string> read_reply() { return read(); }
  virtual void broke(const char* /*why*/) {}  // the conversation; it is closed next

  // Runs `work` under the lock. A conversation that broke off is not taken up again: the host may
  // be in the middle of anything, so the channel is closed.
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
  void own();  // from now on it is this process's
  void close_locked() noexcept;

  Backdoor& backdoor_;
  mutable Mutex mutex_;
  bool open_ = false;

 private:
  void fail_locked(const char* why) REQUIRES(mutex_);
  std::atomic<pid_t> opened_by_ = 0;  // the process that opened it; 0: none
};

}  // namespace vmtpy::wire
