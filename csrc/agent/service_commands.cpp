// Refuses, queues or answers a command by the state of the agent. Relies on HostConversation for
// the reply.
#include "agent/service_commands.h"

#include <utility>

#include "wire/wire.h"

namespace vmtpy::agent {

namespace {
// No option that a guest uses is longer. Longer ones are not kept for a busy Python.
constexpr std::size_t LONGEST_OPTION = 256;
}  // namespace

ServiceCommands::ServiceCommands(HostConversation& host, EventQueue& queue, Clock& clock,
                                 ServiceCommandOptions options)
    : host_(host), queue_(queue), clock_(clock), options_(options) {}

std::optional<std::string> ServiceCommands::command(std::string_view name,
                                                    std::string_view arguments, bool backup) {
  if (name == "Set_Option") return take_option(name, arguments);
  // The host may ask again (softpowerop_retry).
  if (backup) return "ERROR Quiesce operation in progress";
  const bool power = name.starts_with("OS_");
  if (power && changing_ != 0) return "ERROR State change already in progress";
  ++last_;
  // Nobody would answer or settle a command that Python does not get.
  if (!push(name, arguments, last_)) return "ERROR The guest agent is busy";
  if (power) changing_ = last_;
  name_ = name;
  due_ = clock_.now() + options_.patience;
  host_.defer(last());
  return std::nullopt;
}

// Accepts every option. Hosts set many that a Linux guest does not use, and take a guest for broken
// that says so. An option holds until the next one is set, so Python looks at it when it can.
std::string ServiceCommands::take_option(std::string_view name, std::string_view arguments) {
  const std::size_t blank = arguments.find(' ');
  if (blank == 0 || blank == std::string_view::npos || blank + 1 == arguments.size()) {
    return "ERROR Unknown or invalid option";  // these are open-vm-tools' words
  }
  if (arguments.size() <= LONGEST_OPTION) push(name, arguments, 0);
  return "OK ";
}

bool ServiceCommands::push(std::string_view name, std::string_view arguments, std::uint64_t id) {
  AgentEvent event;
  event.kind = AgentEvent::Kind::COMMAND;
  event.id = id;
  event.text = name;
  event.arguments = arguments;
  return queue_.push(std::move(event));
}

HostConversation::Debt ServiceCommands::last() const {
  return {HostCommand::Answerer::SERVICE, last_};
}

void ServiceCommands::answer(std::uint64_t id, std::string text) {
  if (text.size() > wire::MAX_MESSAGE) text = "ERROR Answer too long";
  host_.reply({HostCommand::Answerer::SERVICE, id}, std::move(text));
}

void ServiceCommands::settle(std::uint64_t id) {
  if (id == changing_) changing_ = 0;
}

Time ServiceCommands::due() const {
  return host_.owes(last()) ? due_ : Time::max();
}

void ServiceCommands::step() {
  if (clock_.now() < due()) return;
  // A power operation goes on while its hooks run, and statechange.status tells how it ends.
  host_.reply(last(),
              name_.starts_with("OS_") ? "OK " : "ERROR " + name_ + " was not answered in time");
  queue_.log(name_ + " was not answered in time", true);
}

}  // namespace vmtpy::agent
