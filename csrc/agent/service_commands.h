// Commands of the host that Python serves. Power and time, one at a time: the command is queued as
// an event, and the host is not polled until the answer has come or its time is up. During a backup
// Python is busy or must keep still, so that they are refused at once, here. Options are answered
// at once always. The agent owns it and it lives as long as the agent; only the loop's thread uses
// it: what Python answers comes by the mailbox.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/event_queue.h"
#include "agent/host_conversation.h"
#include "base/clock.h"

namespace vmtpy::agent {

struct ServiceCommandOptions {
  Duration patience = std::chrono::seconds(5);  // with Python
};

class ServiceCommands {
 public:
  ServiceCommands(HostConversation& host, EventQueue& queue, Clock& clock,
                  ServiceCommandOptions options);

  // The answer, or nothing when it comes later by HostConversation::reply().
  std::optional<std::string> command(std::string_view name, std::string_view arguments,
                                     bool backup);
  void answer(std::uint64_t id, std::string text);  // from Python; one that is too late is dropped
  // From Python: the state change that this power command began is over, done or refused. Until
  // then any other is refused, also after the command itself was answered because its hooks take
  // long.
  void settle(std::uint64_t id);
  void step();       // looks at the clock
  Time due() const;  // when to look again at the latest

 private:
  std::string take_option(std::string_view name, std::string_view arguments);
  void push(std::string_view name, std::string_view arguments, std::uint64_t id);
  HostConversation::Debt last() const;

  HostConversation& host_;
  EventQueue& queue_;
  Clock& clock_;
  ServiceCommandOptions options_;
  std::uint64_t last_ = 0;      // id of the last command that Python was to answer; 0: none yet
  std::uint64_t changing_ = 0;  // id of the power command whose state change goes on; 0: none
  std::string name_;            // of the last one, for the log
  Time due_{};                  // until when it is to be answered
};

}  // namespace vmtpy::agent
