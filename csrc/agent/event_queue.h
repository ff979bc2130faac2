// The events from the native loop to Python: what the host asked, what happened, what to log.
// Python may be slow or stuck, and nothing here waits for it. While a filesystem is frozen the
// queue is held, so that nobody is woken to write a log line that would block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "agent/quiesce_request.h"
#include "base/clock.h"
#include "base/thread_safety.h"
#include "base/unique_fd.h"
#include "freeze/run_record.h"

namespace vmtpy::agent {

struct AgentEvent {
  enum class Kind {
    START,  // Python plans and enters the hooks; answered by Agent::arm(), skip() or refuse()
    // Everything is thawed and reported, and Python leaves the hooks. Answered by Agent::finish().
    ENDED,
    LOG,      // a line for the log
    COMMAND,  // a command of the host; answered by Agent::answer()
    // The answer to a COMMAND has reached the host, or could not be brought there.
    ANSWERED,
    // The host has been told of this guest anew, and may have forgotten what Python told it.
    ANNOUNCED,
    // SIGHUP: Python reads the configuration again. It comes between backups only.
    RELOAD,
    STOPPED,  // the loop has ended; the last event
  };
  Kind kind = Kind::LOG;
  QuiesceRequest request;    // START
  freeze::RunRecord record;  // ENDED
  std::string text;          // the line of LOG; the name of COMMAND
  std::string arguments;     // what follows the name of COMMAND
  std::uint64_t id = 0;      // of COMMAND and ANSWERED; 0 where no answer is wanted
  bool warning = false;      // LOG

  bool can_be_dropped() const { return kind == Kind::LOG || kind == Kind::COMMAND; }
};

// Returns one line of bounded length that is fit for a log or for vCenter, whatever a host has
// said.
std::string one_line(std::string_view text, std::size_t longest = 400);

// Owned by the agent and as long-lived. It has its own lock, so any thread may call it.
class EventQueue {
 public:
  EventQueue() = default;
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // Returns false if the event was dropped, because Python has left too many in the queue.
  bool push(AgentEvent event);
  void log(std::string_view text, bool warning = false);
  void hold(bool held);
  bool held() const;
  std::optional<AgentEvent> take();  // never waits; returns nothing while held
  // An eventfd that is readable while take() has an event.
  int event_fd() const { return event_.get(); }

 private:
  void signal_locked() REQUIRES(mutex_);
  EventFd event_;
  mutable Mutex mutex_;
  std::deque<AgentEvent> events_ GUARDED_BY(mutex_);
  std::size_t dropped_ GUARDED_BY(mutex_) = 0;  // how many log lines and commands were dropped
  bool announced_ GUARDED_BY(mutex_) = false;   // an ANNOUNCED is queued, which stands for all
  bool held_ GUARDED_BY(mutex_) = false;
};

}  // namespace vmtpy::agent
