// Every RPCI and TCLO message with its time, in order, for one reader who drains it: the script
// that plays the host, the timeline, or a test. emulator/channels.h adds to it, and the Device
// hands it out.
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
  RPCI,          // a request of the guest and its reply
  TCLO_COMMAND,  // a command that was handed to the guest
  TCLO_REPLY,    // a reply of the guest; the empty replies of idle polls are not recorded
};

struct TranscriptEntry {
  MessageKind kind;
  Transport transport;
  Time time;
  // The request for RPCI, the command for TCLO_COMMAND, the reply for TCLO_REPLY.
  std::string request;
  std::string reply;  // for RPCI only, as sent: "1 …" or "0 …"
};

// Owned by the Device and as long-lived. It has its own lock, so any thread may call it.
class Transcript {
 public:
  explicit Transcript(Clock& clock) : clock_(clock) {}
  void add(MessageKind kind, Transport transport, std::string request, std::string reply = "");
  std::vector<TranscriptEntry> take(Time deadline);
  std::uint64_t count() const;  // the number of all messages so far, taken or not
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
