// From the native loop to Python, one way: what was asked, what happened, what to log. Python may
// be slow or stuck; nothing here waits for it. While a filesystem is frozen the queue is held, so
// that nobody is woken to write a log line that would block. The agent owns it, and it lives as
// long as the agent; any thread may use it.
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
    START,      // prepare: plan, hooks; answered by Agent::arm() or Agent::refuse()
    ENDED,      // thawed and reported; hooks; answered by Agent::finish()
    LOG,        // a line for the log
    COMMAND,    // of the host: answered by Agent::answer()
    ANSWERED,   // the answer to a COMMAND is with the host, or could not be brought there
    ANNOUNCED,  // the host may have forgotten what it was told: open, reset, register
    RELOAD,     // SIGHUP: the configuration is to be read again; between backups only
    STOPPED,    // the loop has ended: the last event
  };
  Kind kind = Kind::LOG;
  QuiesceRequest request;    // START
  freeze::RunRecord record;  // ENDED
  std::string text;          // LOG; COMMAND: its name
  std::string arguments;     // COMMAND: what follows the name
  std::uint64_t id = 0;      // COMMAND, ANSWERED; 0: no answer is wanted
  bool warning = false;      // LOG

  bool can_be_dropped() const { return kind == Kind::LOG || kind == Kind::COMMAND; }
};

// Fit for a log or for vCenter: one line of bounded length, whatever a host has said.
std::string one_line(std::string_view text, std::size_t longest = 400);

class EventQueue {
 public:
  EventQueue() = default;
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  void push(AgentEvent event);
  void log(std::string_view text, bool warning = false);
  void hold(bool held);
  bool held() const;
  std::optional<AgentEvent> take();              // never waits; nothing while held
  int event_fd() const { return event_.get(); }  // readable while take() has something to give

 private:
  void signal_locked() REQUIRES(mutex_);
  EventFd event_;
  mutable Mutex mutex_;
  std::deque<AgentEvent> events_ GUARDED_BY(mutex_);
  std::size_t dropped_ GUARDED_BY(mutex_) = 0;  // log lines, when nobody takes them
  bool announced_ GUARDED_BY(mutex_) = false;   // one ANNOUNCED is queued: it stands for all
  bool held_ GUARDED_BY(mutex_) = false;
};

}  // namespace vmtpy::agent
