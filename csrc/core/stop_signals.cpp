#include "core/stop_signals.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "core/errors.h"

namespace vmtpy {

namespace {

std::atomic<int> target{-1};
static_assert(std::atomic<int>::is_always_lock_free);

void raise_event(int) {
  const int saved = errno;
  const std::uint64_t one = 1;
  const int descriptor = target.load();
  if (descriptor >= 0) [[maybe_unused]]
    auto written = ::write(descriptor, &one, sizeof one);
  errno = saved;
}

}  // namespace

StopSignals::StopSignals(int event_fd, const std::vector<int>& signals) {
  int free = -1;
  if (!target.compare_exchange_strong(free, event_fd)) {
    throw Error("another agent of this process handles the signals already");
  }
  for (const int number : signals) {
    struct sigaction action = {};
    struct sigaction before = {};
    action.sa_handler = raise_event;
    action.sa_flags = SA_RESTART;
    if (::sigaction(number, &action, &before) == 0) before_.emplace_back(number, before);
  }
}

StopSignals::~StopSignals() {
  for (const auto& [number, before] : before_) ::sigaction(number, &before, nullptr);
  target.store(-1);
}

}  // namespace vmtpy
