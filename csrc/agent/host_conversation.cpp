// The table of the conversation, polling, and what this guest says of itself. The table is also
// shown in ARCHITECTURE.md.
#include "agent/host_conversation.h"

#include <algorithm>
#include <utility>

#include "base/assertion.h"
#include "base/errors.h"

namespace vmtpy::agent {

namespace {

using S = ConversationState;
using E = ConversationEvent;

}  // namespace

const HostConversation::Edge* HostConversation::edge(ConversationState from,
                                                     ConversationEvent event) {
  using C = HostConversation;
  static constexpr Edge TABLE[] = {
      {S::NEW, E::HEARD, S::UNANNOUNCED, &C::nothing},
      {S::NEW, E::FAILED, S::LOST, &C::note_loss},
      {S::NEW, E::FORGOTTEN, S::NEW, &C::nothing},
      {S::NEW, E::CLOSE, S::CLOSED, &C::sign_off},

      {S::LOST, E::HEARD, S::UNANNOUNCED, &C::note_return},
      {S::LOST, E::FAILED, S::LOST, &C::nothing},
      {S::LOST, E::FORGOTTEN, S::LOST, &C::nothing},
      {S::LOST, E::CLOSE, S::CLOSED, &C::sign_off},

      {S::UNANNOUNCED, E::HEARD, S::UNANNOUNCED, &C::nothing},
      {S::UNANNOUNCED, E::FAILED, S::LOST, &C::note_loss},
      {S::UNANNOUNCED, E::FORGOTTEN, S::UNANNOUNCED, &C::nothing},
      {S::UNANNOUNCED, E::TOLD, S::ANNOUNCED, &C::nothing},
      {S::UNANNOUNCED, E::CLOSE, S::CLOSED, &C::sign_off},

      {S::ANNOUNCED, E::HEARD, S::KNOWN, &C::tell_python},
      {S::ANNOUNCED, E::FAILED, S::LOST, &C::note_loss},
      {S::ANNOUNCED, E::FORGOTTEN, S::UNANNOUNCED, &C::nothing},
      {S::ANNOUNCED, E::TOLD, S::ANNOUNCED, &C::nothing},
      {S::ANNOUNCED, E::CLOSE, S::CLOSED, &C::sign_off},

      {S::KNOWN, E::HEARD, S::KNOWN, &C::nothing},
      {S::KNOWN, E::FAILED, S::LOST, &C::note_loss},
      {S::KNOWN, E::FORGOTTEN, S::UNANNOUNCED, &C::nothing},
      {S::KNOWN, E::TOLD, S::ANNOUNCED, &C::nothing},
      {S::KNOWN, E::CLOSE, S::CLOSED, &C::sign_off},
  };
  for (const Edge& candidate : TABLE) {
    if (candidate.from == from && candidate.event == event) return &candidate;
  }
  return nullptr;
}

HostConversation::HostConversation(std::shared_ptr<wire::Transports> transports, EventQueue& queue,
                                   Clock& clock, HostConversationOptions options, Serve serve)
    : transports_(std::move(transports)),
      queue_(queue),
      clock_(clock),
      options_(std::move(options)),
      serve_(std::move(serve)),
      rpci_(transports_),
      tclo_(transports_),
      poll_delay_(options_.poll_min),
      retry_delay_(options_.retry_min) {}

void HostConversation::take(ConversationEvent event) {
  const Edge* found = edge(state_, event);
  if (found == nullptr) return;
  state_ = found->to;
  (this->*found->action)();
}

void HostConversation::begin_turn(Time now, bool frozen) {
  // When a freeze begins or ends, earlier replies are dropped. After vmtpy's own thaw an earlier OK
  // must not confirm the snapshot to a host that is back.
  if (frozen != std::exchange(frozen_, frozen)) tclo_.forget(!frozen);
  if (!reply_) return;
  const std::string reply = *std::exchange(reply_, std::nullopt);
  tclo_.answer(reply);
  poll_at_ = now;
}

bool HostConversation::wants_poll(Time now) const {
  return !owes_reply() && (now >= poll_at_ || tclo_.ready());
}

Time HostConversation::due() const {
  return owes_reply() ? Time::max() : poll_at_;
}

bool HostConversation::poll(Time now, bool busy) {
  try {
    const std::optional<std::string> command = tclo_.poll();
    if (tclo_.waiting()) {
      poll_at_ = tclo_.due();
      return false;
    }
    heard(now);
    return command ? obey(now, *command) : quiet(now, busy);
  } catch (const Error& error) {
    seen_.trouble = error.what();
    take(E::FAILED);
    delivered();
    poll_at_ = now + (busy ? options_.poll_min : retry_delay_);
    if (!busy) retry_delay_ = std::min(2 * retry_delay_, options_.retry_max);
    return false;
  }
}

void HostConversation::heard(Time now) {
  take_change();
  delivered();
  take(E::HEARD);
  seen_.last_poll = now;
  ++seen_.polls;
  seen_.trouble.clear();
  retry_delay_ = options_.retry_min;
}

// Notes another way to the host. There the host may take this guest for another one.
void HostConversation::take_change() {
  if (!tclo_.take_change()) return;
  take(E::FORGOTTEN);
  seen_.transport = tclo_.transport();
  if (transports_->dialer() == nullptr) return;  // there is only one way
  queue_.log("the host is reached by " + seen_.transport + ": " + tclo_.reason());
}

// Called when the host has no command.
bool HostConversation::quiet(Time now, bool busy) {
  poll_at_ = tclo_.pushed() ? tclo_.due() : now + (busy ? options_.poll_busy : poll_delay_);
  poll_delay_ = std::min(2 * poll_delay_, options_.poll_max);
  if (state_ == S::UNANNOUNCED) {
    introduce();
    if (tclo_.pushed()) poll_at_ = now;  // Python hears of it then
  }
  if (!busy && std::exchange(late_, false)) say_health();
  return false;
}

bool HostConversation::obey(Time now, const std::string& command) {
  poll_at_ = now;
  poll_delay_ = options_.poll_min;
  ++seen_.commands;
  const bool unannounced = state_ == S::UNANNOUNCED;
  const HostRequest request = read_host_request(command);
  const std::optional<std::string> reply = answer(request);
  if (reply) tclo_.answer(*reply);
  // After a reset the guest announces itself when the answer has gone out, which the next poll
  // does.
  if (unannounced && state_ == S::UNANNOUNCED && request.name != "reset") introduce();
  return reply.has_value();
}

std::optional<std::string> HostConversation::answer(const HostRequest& request) {
  switch (request.answerer) {
    case HostCommand::Answerer::NOBODY:
      return "ERROR Unknown Command";
    case HostCommand::Answerer::CONVERSATION:
      return answer_here(request.name);
    default:
      return serve_(request);
  }
}

std::string HostConversation::answer_here(std::string_view name) {
  if (name == "reset") {
    ++seen_.resets;
    take(E::FORGOTTEN);
    return "OK ATR toolbox";
  }
  if (name == "Capabilities_Register") {
    tclo_.answer("OK ");  // leaves with the next poll, also if introduce() throws
    introduce();
  }
  return "OK ";
}

// Announces this guest to a host that does not know it: after an open, a reset or the host's
// return, and when the host asks. The uptime belongs to it, even where the guest tells nothing else
// of itself: a host that does not get the uptime before the "OK " to Capabilities_Register takes
// the tools of a restarted guest for dead.
void HostConversation::introduce() {
  using Hundredths = std::chrono::duration<std::int64_t, std::centi>;
  const auto uptime = std::chrono::floor<Hundredths>(clock_.uptime());
  std::vector<std::string> requests = options_.announce;
  requests.push_back("SetGuestInfo  7 " + std::to_string(uptime.count()));
  for (const std::string& request : requests) {
    const wire::RpciReply reply = rpci_.call(request);
    if (!reply.ok) queue_.log("the host refused \"" + request + "\": " + reply.data);
  }
  take(E::TOLD);
}

// Tells the host that this virtual machine or this process did not run for longer than a turn
// should take.
void HostConversation::say_health() {
  queue_.log("this virtual machine is slow: a turn of the agent came late", true);
  rpci_.call("update.tools.health guest_slow");
}

void HostConversation::defer(Debt debt) {
  VMTPY_ASSERT(!owes_reply());  // the host sends nothing before it has its reply
  debt_ = debt;
}

void HostConversation::reply(Debt debt, std::string text) {
  if (!owes_reply() || !owes(debt)) return;
  debt_ = {};
  reply_ = std::move(text);
  on_its_way_ = debt.id;
}

// Tells Python that the poll with the reply is over, even if it has failed.
void HostConversation::delivered() {
  if (on_its_way_ == 0) return;
  AgentEvent event;
  event.kind = AgentEvent::Kind::ANSWERED;
  event.id = std::exchange(on_its_way_, 0);
  queue_.push(std::move(event));
}

void HostConversation::set_busy(bool busy) {
  const bool hurry = busy && transports_->backdoor_serves();
  rpci_.set_patience(hurry ? options_.patience_busy : options_.patience);
  transports_->pause(hurry);
  tclo_.set_patience(hurry ? options_.patience_busy : options_.patience);
}

void HostConversation::configure(const HostConversationOptions& options) {
  options_.poll_min = options.poll_min;
  options_.poll_max = options.poll_max;
  options_.poll_busy = options.poll_busy;
  poll_delay_ = options.poll_min;
  if (options_.announce != options.announce) take(E::FORGOTTEN);
  options_.announce = options.announce;
}

HostStatus HostConversation::status() const {
  HostStatus status = seen_;
  status.announced = state_ == S::ANNOUNCED || state_ == S::KNOWN;
  status.connected = status.announced || state_ == S::UNANNOUNCED;
  if (!status.transport.empty()) status.transport_reason = tclo_.reason();
  return status;
}

// --- actions -----------------------------------------------------------------------------------

void HostConversation::note_loss() {
  ++seen_.losses;
  queue_.log("the host does not answer: " + seen_.trouble, true);
}

void HostConversation::note_return() {
  queue_.log("the host answers again");
}

// Tells Python of an announcement one poll later, because until then an answer to the host could
// still be owed.
void HostConversation::tell_python() {
  AgentEvent event;
  event.kind = AgentEvent::Kind::ANNOUNCED;
  queue_.push(std::move(event));
}

void HostConversation::sign_off() {
  for (const std::string& request : options_.withdraw) {
    try {
      rpci_.call(request, &request == &options_.withdraw.back());
    } catch (const Error&) {
      break;
    }
  }
  tclo_.close();
  rpci_.close();
}

}  // namespace vmtpy::agent
