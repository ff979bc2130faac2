#include "agent/commands.h"

#include <utility>

#include "wire/wire.h"

namespace vmtpy::agent {

namespace {
// None that a guest uses is longer; what is longer need not be kept for a Python that is busy.
constexpr std::size_t LONGEST_OPTION = 256;
}  // namespace

Commands::Commands(EventQueue& queue, Clock& clock, CommandOptions options)
    : queue_(queue), clock_(clock), options_(options) {}

std::optional<std::string> Commands::command(std::string_view name, std::string_view arguments,
                                             bool backup) {
  if (name == "Set_Option") return take_option(name, arguments);
  // The host may ask again (softpowerop_retry).
  if (backup) return "ERROR Quiesce operation in progress";
  const bool power = name.starts_with("OS_");
  if (power && changing_ != 0) return "ERROR State change already in progress";
  pending_ = ++last_;
  if (power) changing_ = pending_;
  name_ = name;
  due_ = clock_.now() + options_.patience;
  push(name, arguments, pending_);
  return std::nullopt;
}

// Hosts set many options that a Linux guest does not use, and take it for broken if it says so. An
// option is a state that holds until the next one: Python looks at it when it can.
std::string Commands::take_option(std::string_view name, std::string_view arguments) {
  const std::size_t blank = arguments.find(' ');
  if (blank == 0 || blank == std::string_view::npos || blank + 1 == arguments.size()) {
    return "ERROR Unknown or invalid option";  // open-vm-tools' words
  }
  if (arguments.size() <= LONGEST_OPTION) push(name, arguments, 0);
  return "OK ";
}

void Commands::push(std::string_view name, std::string_view arguments, std::uint64_t id) {
  AgentEvent event;
  event.kind = AgentEvent::Kind::COMMAND;
  event.id = id;
  event.text = name;
  event.arguments = arguments;
  queue_.push(std::move(event));
}

void Commands::answer(std::uint64_t id, std::string text) {
  if (id == 0 || id != pending_) return;
  pending_ = 0;
  answered_ = id;
  answer_ = text.size() > wire::MAX_MESSAGE ? "ERROR Answer too long" : std::move(text);
}

void Commands::settle(std::uint64_t id) {
  if (id == changing_) changing_ = 0;
}

std::optional<std::string> Commands::take_answer() {
  return std::exchange(answer_, std::nullopt);
}

void Commands::delivered() {
  if (answered_ == 0) return;
  AgentEvent event;
  event.kind = AgentEvent::Kind::ANSWERED;
  event.id = std::exchange(answered_, 0);
  queue_.push(std::move(event));
}

Time Commands::due() const {
  return pending_ == 0 ? Time::max() : due_;
}

void Commands::step() {
  if (clock_.now() < due()) return;
  answered_ = std::exchange(pending_, 0);
  // A power operation goes on while its hooks do; how it ends, statechange.status tells.
  answer_ = name_.starts_with("OS_") ? "OK " : "ERROR " + name_ + ": no answer in time";
  queue_.log(name_ + " was not answered in time", true);
}

}  // namespace vmtpy::agent
