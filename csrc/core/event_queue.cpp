#include "core/event_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/errors.h"

namespace vmtpy {

namespace {
// What is beyond this and can be dropped is counted, not kept: a stuck Python must not cost the
// guest its memory.
constexpr std::size_t MAX_EVENTS = 1024;
}  // namespace

EventQueue::EventQueue() : event_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (event_fd_ < 0) throw SystemError("eventfd", "", errno);
}

EventQueue::~EventQueue() {
  ::close(event_fd_);
}

void EventQueue::push(AgentEvent event) {
  std::lock_guard guard(mutex_);
  if (event.can_be_dropped() && events_.size() >= MAX_EVENTS) {
    ++dropped_;
    return;
  }
  events_.push_back(std::move(event));
  signal_locked();
}

void EventQueue::log(std::string text, bool warning) {
  AgentEvent event;
  event.text = std::move(text);
  event.warning = warning;
  push(std::move(event));
}

void EventQueue::hold(bool held) {
  std::lock_guard guard(mutex_);
  held_ = held;
  signal_locked();
}

bool EventQueue::held() const {
  std::lock_guard guard(mutex_);
  return held_;
}

std::optional<AgentEvent> EventQueue::take() {
  std::lock_guard guard(mutex_);
  if (held_ || events_.empty()) {
    std::uint64_t count = 0;
    [[maybe_unused]] auto drained = ::read(event_fd_, &count, sizeof count);
    return std::nullopt;
  }
  AgentEvent event = std::move(events_.front());
  events_.pop_front();
  if (events_.empty() && dropped_ > 0) {
    AgentEvent note;
    note.text = std::to_string(std::exchange(dropped_, 0)) + " log lines and options were dropped";
    note.warning = true;
    events_.push_back(std::move(note));
  }
  return event;
}

void EventQueue::signal_locked() {
  if (held_ || events_.empty()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] auto written = ::write(event_fd_, &one, sizeof one);
}

}  // namespace vmtpy
