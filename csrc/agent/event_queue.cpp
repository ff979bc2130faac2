// A queue under a lock, with an eventfd that wakes Python and a bound on what a stuck Python may
// leave in it.
#include "agent/event_queue.h"

#include <algorithm>
#include <utility>

namespace vmtpy::agent {

namespace {
// Events beyond this number that can be dropped are counted and not kept, because a stuck Python
// must not cost the guest its memory.
constexpr std::size_t MAX_EVENTS = 1024;
constexpr std::size_t LONGEST_LINE = 800;
}  // namespace

std::string one_line(std::string_view text, std::size_t longest) {
  std::string line(text.substr(0, longest));
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return line;
}

bool EventQueue::push(AgentEvent event) {
  MutexLock guard(mutex_);
  if (event.can_be_dropped() && events_.size() >= MAX_EVENTS) {
    ++dropped_;
    return false;
  }
  const bool announced = event.kind == AgentEvent::Kind::ANNOUNCED;
  if (announced && announced_) return true;
  events_.push_back(std::move(event));
  announced_ = announced_ || announced;
  signal_locked();
  return true;
}

void EventQueue::log(std::string_view text, bool warning) {
  AgentEvent event;
  event.text = one_line(text, LONGEST_LINE);
  event.warning = warning;
  push(std::move(event));
}

void EventQueue::hold(bool held) {
  MutexLock guard(mutex_);
  held_ = held;
  signal_locked();
}

bool EventQueue::held() const {
  MutexLock guard(mutex_);
  return held_;
}

std::optional<AgentEvent> EventQueue::take() {
  MutexLock guard(mutex_);
  if (held_ || events_.empty()) {
    event_.drain();
    return std::nullopt;
  }
  AgentEvent event = std::move(events_.front());
  events_.pop_front();
  if (event.kind == AgentEvent::Kind::ANNOUNCED) announced_ = false;
  if (events_.empty() && dropped_ > 0) {
    AgentEvent note;
    note.text = std::to_string(std::exchange(dropped_, 0)) + " log lines and commands were dropped";
    note.warning = true;
    events_.push_back(std::move(note));
  }
  return event;
}

void EventQueue::signal_locked() {
  if (held_ || events_.empty()) return;
  event_.raise();
}

}  // namespace vmtpy::agent
