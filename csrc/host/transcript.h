// Every RPCI and TCLO message with its time, in order, for one reader who drains it (the script
// that plays the host, the timeline, tests). Thread-safe; used by host/channels.h, emptied through
// Device.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.h"
#include "host/device.h"

namespace vmtpy::host {

class Transcript {
 public:
  explicit Transcript(Clock& clock) : clock_(clock) {}
  void add(MessageKind kind, Way way, std::string request, std::string reply = "");
  std::vector<TranscriptEntry> take(Time deadline);
  void end_waits();

 private:
  Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TranscriptEntry> entries_;
  bool over_ = false;
};

}  // namespace vmtpy::host
