// The loop's part with the host: asking or listening for commands, answering what needs no Python,
// saying who this guest is.
#include <algorithm>
#include <string_view>
#include <utility>

#include "agent/agent.h"
#include "base/errors.h"
#include "wire/wire.h"

namespace vmtpy::agent {

void Agent::poll_host(Time now) {
  // After a thaw of our own, an OK of before must not confirm the snapshot to a host that is back.
  const bool frozen = may_be_frozen(backup_.state());
  if (frozen != std::exchange(frozen_, frozen)) tclo_.forget(!frozen);
  for (std::optional<std::string> reply : {backup_.take_answer(), commands_.take_answer()}) {
    if (!reply) continue;
    tclo_.answer(*reply);
    poll_at_ = now;
  }
  if (answer_pending()) return;
  // Commands can be queued at the host: after one, the next is asked for at once. Bounded, so that
  // a host that floods us cannot keep the timers from running.
  constexpr int MOST_AT_ONCE = 16;
  for (int i = 0; i < MOST_AT_ONCE && (now >= poll_at_ || tclo_.ready()) && poll_once(now); ++i) {
  }
}

// True when there may be more.
bool Agent::poll_once(Time now) {
  const bool busy = backup_.state() != BackupState::IDLE;
  try {
    const std::optional<std::string> command = tclo_.poll();
    if (tclo_.waiting()) {
      poll_at_ = tclo_.due();
      return false;
    }
    take_change();
    // A reset is announced after its answer has gone out, which the next poll does.
    const bool announce_due = !announced_;
    commands_.delivered();
    if (std::exchange(introduced_, false)) {
      AgentEvent event;
      event.kind = AgentEvent::Kind::ANNOUNCED;
      queue_.push(std::move(event));
    }
    seen_.last_poll = now;
    ++seen_.polls;
    seen_.trouble.clear();
    if (!std::exchange(connected_, true)) queue_.log("the host answers again");
    retry_delay_ = options_.retry_min;
    if (!command) {
      poll_at_ = tclo_.pushed() ? tclo_.due() : now + (busy ? options_.poll_busy : poll_delay_);
      poll_delay_ = std::min(2 * poll_delay_, options_.poll_max);
      if (announce_due) {
        introduce();
        if (tclo_.pushed()) poll_at_ = now;  // Python hears of it then
      }
      if (!busy && std::exchange(starved_, false)) say_health();
      return false;
    }
    poll_at_ = now;
    poll_delay_ = options_.poll_min;
    ++seen_.commands;
    bool deferred = false;
    const HostRequest request = read_host_request(*command);
    const std::string reply = dispatch(request, deferred);
    if (!deferred) tclo_.answer(reply);
    if (announce_due && !announced_ && request.name != "reset") introduce();
    return !deferred;
  } catch (const Error& error) {
    seen_.trouble = error.what();
    if (std::exchange(connected_, false)) {
      ++seen_.losses;
      queue_.log(std::string("the host does not answer: ") + error.what(), true);
    }
    commands_.delivered();
    announced_ = false;
    poll_at_ = now + (busy ? options_.poll_min : retry_delay_);
    if (!busy) retry_delay_ = std::min(2 * retry_delay_, options_.retry_max);
    return false;
  }
}

// By another way the host may take this guest for another one.
void Agent::take_change() {
  if (!tclo_.take_change()) return;
  announced_ = false;
  seen_.transport = tclo_.transport();
  if (transports_->dialer() == nullptr) return;  // there is only one
  queue_.log("the host is reached by " + seen_.transport + ": " + tclo_.reason());
}

std::string Agent::dispatch(const HostRequest& request, bool& deferred) {
  std::optional<std::string> reply;
  switch (request.answerer) {
    case HostCommand::Answerer::NOBODY:
      reply = "ERROR Unknown Command";
      break;
    case HostCommand::Answerer::LOOP:
      reply = answer_here(request.name);
      break;
    case HostCommand::Answerer::BACKUP:
      reply = answer_backup(request);
      break;
    case HostCommand::Answerer::HGFS:
      reply = hgfs_.answer(request.arguments);
      break;
    case HostCommand::Answerer::VIX:
      reply = wire::answer_vix(request.arguments, options_.tools);
      break;
    case HostCommand::Answerer::SERVICE:
      reply =
          commands_.command(request.name, request.arguments, backup_.state() != BackupState::IDLE);
      break;
  }
  deferred = !reply.has_value();
  return reply.value_or("");
}

// A backup that begins takes the manifest of the last one away.
std::optional<std::string> Agent::answer_backup(const HostRequest& request) {
  const bool idle = backup_.state() == BackupState::IDLE;
  std::optional<std::string> reply = backup_.command(request.name, request.arguments);
  if (idle && backup_.state() != BackupState::IDLE) hgfs_.withdraw();
  return reply;
}

std::string Agent::answer_here(std::string_view name) {
  if (name == "reset") {
    ++seen_.resets;
    announced_ = false;
    return "OK ATR toolbox";
  }
  if (name == "Capabilities_Register") introduce();
  return "OK ";
}

// To a host that knows nothing of us: after an open, a reset, its return, or when it asks. The
// uptime belongs to it, also where the guest tells nothing else of itself: a host that does not get
// it before the "OK " to Capabilities_Register takes the tools of a restarted guest for dead.
void Agent::introduce() {
  using Hundredths = std::chrono::duration<std::int64_t, std::centi>;
  const auto uptime = std::chrono::floor<Hundredths>(clock_.uptime());
  std::vector<std::string> requests = options_.announce;
  requests.push_back("SetGuestInfo  7 " + std::to_string(uptime.count()));
  for (const std::string& request : requests) {
    const wire::RpciReply reply = rpci_.call(request);
    if (!reply.ok) queue_.log("the host refused \"" + request + "\": " + reply.data);
  }
  announced_ = true;
  introduced_ = true;  // Python hears of it when the answer that may stand out has gone
}

// This virtual machine did not run, or not this process, for longer than its turns should take.
void Agent::say_health() {
  queue_.log("this virtual machine is slow: a turn of the agent came late", true);
  rpci_.call("update.tools.health guest_slow");
}

}  // namespace vmtpy::agent
