// Handlers for SIGTERM, SIGHUP and the like that need no Python: they write to an eventfd, and the
// loop acts whether or not the interpreter can run. They serve `vmtpy run` and rely on
// sigaction(2).
#pragma once

#include <signal.h>

#include <utility>
#include <vector>

namespace vmtpy::linux {

// Owned by the Python program's main thread. It installs the handlers when it is made, and puts
// back the earlier ones when it ends. The eventfd must live longer.
class SignalEvents {
 public:
  // Each signal has one eventfd at a time in a process. Throws Error when a signal has one already.
  SignalEvents(int event_fd, const std::vector<int>& signals);
  ~SignalEvents();
  SignalEvents(const SignalEvents&) = delete;
  SignalEvents& operator=(const SignalEvents&) = delete;

 private:
  void restore();
  std::vector<std::pair<int, struct sigaction>> before_;
};

}  // namespace vmtpy::linux
