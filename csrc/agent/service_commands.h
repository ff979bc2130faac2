// The commands of the host that Python serves. Power and time are served one at a time: the command
// is queued as an event, and the host is not polled until the answer has come or its time is up.
// During a backup Python is busy or must keep still, so these commands are refused at once here.
// Options are always answered at once.
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
  Duration patience = std::chrono::seconds(5);  // how long Python may take with an answer
};

// Owned by the agent, used by the loop's thread only, and as long-lived as the agent. Python's
// answers come through the mailbox.
class ServiceCommands {
 public:
  ServiceCommands(HostConversation& host, EventQueue& queue, Clock& clock,
                  ServiceCommandOptions options);

  // Returns the answer, or nothing when HostConversation::reply() brings it later.
  std::optional<std::string> command(std::string_view name, std::string_view arguments,
                                     bool backup);
  // Gives Python's answer. An answer that comes too late is dropped.
  void answer(std::uint64_t id, std::string text);
  // Says for Python that the state change of this power command is over, done or refused. Until
  // then every other power command is refused, even after the command itself was answered because
  // its hooks take long.
  void settle(std::uint64_t id);
  void step();       // answers for Python when the time is up
  Time due() const;  // when step() is due at the latest

 private:
  std::string take_option(std::string_view name, std::string_view arguments);
  bool push(std::string_view name, std::string_view arguments, std::uint64_t id);
  HostConversation::Debt last() const;

  HostConversation& host_;
  EventQueue& queue_;
  Clock& clock_;
  ServiceCommandOptions options_;
  // The id of the last command for Python, 0 before the first.
  std::uint64_t last_ = 0;
  // The id of the power command whose state change goes on, 0 for none.
  std::uint64_t changing_ = 0;
  std::string name_;  // the last command's name, for the log
  Time due_{};        // until when it must be answered
};

}  // namespace vmtpy::agent
