// TCLO: two traps when idle (the empty message, "anything for me?").
#include "core/tclo.h"

#include "core/errors.h"

namespace vmtpy {
namespace {

constexpr int MAX_REFUSALS = 4;  // over-large commands answered within one poll

}  // namespace

Tclo::Tclo(Backdoor& backdoor, ChannelOptions options)
    : channel_(backdoor, wire::Protocol::TCLO, options) {}

std::optional<std::string> Tclo::poll() {
  channel_.check_process();
  std::lock_guard lock(mutex_);
  for (int refusals = 0; refusals < MAX_REFUSALS; ++refusals) {
    deliver();
    try {
      std::optional<std::string> command = channel_.receive();
      if (command && command->empty()) return std::nullopt;  // a no-op: nothing to be answered
      return command;
    } catch (const MessageSizeError& error) {
      owed_ = std::string("ERROR ") + error.what();
    }
  }
  return std::nullopt;
}

// Sends what is owed, or the empty message. What is owed stays so until the host has it.
void Tclo::deliver() {
  channel_.open();
  try {
    channel_.send(owed_);
  } catch (const ChannelError&) {
    channel_.open();
    channel_.send(owed_);
  }
  owed_.clear();
}

void Tclo::answer(std::string_view reply) {
  channel_.check_process();
  if (reply.size() > wire::MAX_MESSAGE) {
    throw MessageSizeError("an answer to the host has at most " +
                           std::to_string(wire::MAX_MESSAGE) + " bytes, this one has " +
                           std::to_string(reply.size()));
  }
  std::lock_guard lock(mutex_);
  owed_ = reply;
}

void Tclo::close() noexcept {
  if (!channel_.is_open()) return;
  std::lock_guard lock(mutex_);
  try {
    channel_.send(owed_);  // nothing owed: the last sign of life
    owed_.clear();
  } catch (const Error&) {  // the host does not listen: nothing more to be done
  }
  channel_.close();
}

}  // namespace vmtpy
