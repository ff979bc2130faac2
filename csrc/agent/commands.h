// Commands of the host that Python serves. Power and time, one at a time: the command is queued as
// an event, and the host is not polled until the answer has come or its time is up. During a backup
// Python is busy or must keep still, so that they are refused at once, here. Options are answered
// at once always.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/event_queue.h"
#include "base/clock.h"

namespace vmtpy::agent {

struct CommandOptions {
  Duration patience = std::chrono::seconds(5);  // with Python
};

class Commands {
 public:
  Commands(EventQueue& queue, Clock& clock, CommandOptions options);

  // The answer, or nothing when it comes later by take_answer().
  std::optional<std::string> command(std::string_view name, std::string_view arguments,
                                     bool backup);
  void answer(std::uint64_t id, std::string text);  // from Python; one that is too late is dropped
  // From Python: the state change that this power command began is over, done or refused. Until
  // then any other is refused, also after the command itself was answered because its hooks take
  // long.
  void settle(std::uint64_t id);
  bool pending() const { return pending_ != 0; }
  std::optional<std::string> take_answer();
  void delivered();  // the poll that carried the answer is over: Python hears of it
  void step();       // looks at the clock
  Time due() const;  // when to look again at the latest

 private:
  std::string take_option(std::string_view name, std::string_view arguments);
  void push(std::string_view name, std::string_view arguments, std::uint64_t id);
  EventQueue& queue_;
  Clock& clock_;
  CommandOptions options_;
  std::uint64_t last_ = 0;
  std::uint64_t pending_ = 0;   // id of the command that waits for Python; 0: none
  std::uint64_t changing_ = 0;  // id of the power command whose state change goes on; 0: none
  std::uint64_t answered_ = 0;  // id of the one whose answer is on its way; 0: none
  std::string name_;            // of the pending one, for the log
  Time due_{};
  std::optional<std::string> answer_;
};

}  // namespace vmtpy::agent
