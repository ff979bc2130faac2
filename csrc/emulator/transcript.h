// Every RPCI and TCLO message with its time, in order, for one reader who drains it (the script
// that plays the host, the timeline, tests). Thread-safe; used by emulator/channels.h, emptied
// through Device.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/thread_safety.h"
#include "emulator/transport.h"

namespace vmtpy::emulator {

enum class MessageKind {
  RPCI,          // request of the guest and the reply it was given
  TCLO_COMMAND,  // handed to the guest
  TCLO_REPLY,    // of the guest; the empty ones of idle polls are not recorded
};

struct TranscriptEntry {
  MessageKind kind;
  Transport transport;
  Time time;
  std::string request;  // RPCI: request. TCLO_COMMAND: the command. TCLO_REPLY: the reply.
  std::string reply;    // RPCI only, as sent: "1 …" or "0 …"
};

class Transcript {
 public:
  explicit Transcript(Clock& clock) : clock_(clock) {}
  void add(MessageKind kind, Transport transport, std::string request, std::string reply = "");
  std::vector<TranscriptEntry> take(Time deadline);
  std::uint64_t count() const;  // of all messages so far, taken or not
  void end_waits();

 private:
  Clock& clock_;
  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::vector<TranscriptEntry> entries_ GUARDED_BY(mutex_);
  std::uint64_t count_ GUARDED_BY(mutex_) = 0;
  bool over_ GUARDED_BY(mutex_) = false;
};

}  // namespace vmtpy::emulator
