// What all channels have in common: the lock, the process that opened the channel, and what happens
// when the conversation breaks.
#include "wire/channel.h"

#include <unistd.h>

#include "wire/meter.h"

namespace vmtpy::wire {

// The process is compared before the lock is taken, because in a fork a thread that does not exist
// there may hold the lock.
void Channel::check_process() const {
  const pid_t opened_by = opened_by_;
  if (opened_by != 0 && opened_by != getpid()) {
    throw ChannelError("this channel was opened before a fork, by process " +
                       std::to_string(opened_by) + ": open one of your own");
  }
}

void Channel::open() {
  guarded([&] {
    if (!open_) connect();
  });
}

void Channel::send(std::string_view message) {
  guarded([&] {
    write(message, false);
    if (!message.empty()) record(RecordedKind::REPLY, message);  // else a poll
  });
}

std::optional<std::string> Channel::receive() {
  return guarded([&] {
    std::optional<std::string> message = read();
    if (message && !message->empty()) record(RecordedKind::COMMAND, *message);
    return message;
  });
}

std::optional<std::string> Channel::exchange(std::string_view message, bool last) {
  return guarded([&] {
    if (!open_) connect();
    write(message, last);
    std::optional<std::string> reply = read_reply();
    if (reply) record(RecordedKind::RPCI, message, *reply);
    return reply;
  });
}

void Channel::record(RecordedKind kind, std::string_view request, std::string_view reply) const {
  if (Recorder* recorder = backdoor_.recorder()) recorder->add(kind, transport(), request, reply);
}

void Channel::close() noexcept {
  if (opened_by_ != getpid()) return;  // there is nothing to close, or it is the parent's
  MutexLock lock(mutex_);
  close_locked();
}

bool Channel::is_open() const {
  if (opened_by_ != getpid()) return false;
  MutexLock lock(mutex_);
  return open_;
}

void Channel::own() {
  opened_by_ = getpid();
}

void Channel::close_locked() noexcept {
  if (opened_by_ != 0) disconnect();
  open_ = false;
  opened_by_ = 0;
}

void Channel::fail_locked(const char* why) {
  count(backdoor_, &Meter::failures);
  broke(why);
  close_locked();
}

}  // namespace vmtpy::wire
