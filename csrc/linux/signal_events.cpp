// Signal handlers that write to eventfds. The table of targets is shared by the whole process and
// read without locks, because a handler may not wait.
#include "linux/signal_events.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>

#include "base/errors.h"

namespace vmtpy::linux {

namespace {

// Each element is the eventfd of a signal plus one, so that zero means none.
std::array<std::atomic<int>, NSIG> targets{};
static_assert(std::atomic<int>::is_always_lock_free);

void raise_event(int number) {
  const int saved = errno;
  const std::uint64_t one = 1;
  const int target = targets[static_cast<std::size_t>(number)].load();
  if (target > 0) [[maybe_unused]]
    auto written = ::write(target - 1, &one, sizeof one);
  errno = saved;
}

}  // namespace

SignalEvents::SignalEvents(int event_fd, const std::vector<int>& signals) {
  for (const int number : signals) {
    int free = 0;
    if (number <= 0 || number >= NSIG ||
        !targets[static_cast<std::size_t>(number)].compare_exchange_strong(free, event_fd + 1)) {
      restore();
      throw Error("another agent of this process handles the signals already");
    }
    struct sigaction action = {};
    struct sigaction before = {};
    action.sa_handler = raise_event;
    action.sa_flags = SA_RESTART;
    ::sigaction(number, &action, &before);
    before_.emplace_back(number, before);
  }
}

SignalEvents::~SignalEvents() {
  restore();
}

void SignalEvents::restore() {
  for (const auto& [number, before] : before_) {
    ::sigaction(number, &before, nullptr);
    targets[static_cast<std::size_t>(number)].store(0);
  }
  before_.clear();
}

}  // namespace vmtpy::linux
