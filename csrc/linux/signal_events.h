// SIGTERM, SIGHUP and the like, without Python: the handler writes to an eventfd, and the loop acts
// whether or not the interpreter is able to run. What was installed before comes back at the end.
#pragma once

#include <signal.h>

#include <utility>
#include <vector>

namespace vmtpy::linux {

class SignalEvents {
 public:
  // A signal has one eventfd at a time in a process. Throws Error when it is taken.
  SignalEvents(int event_fd, const std::vector<int>& signals);
  ~SignalEvents();
  SignalEvents(const SignalEvents&) = delete;
  SignalEvents& operator=(const SignalEvents&) = delete;

 private:
  void restore();
  std::vector<std::pair<int, struct sigaction>> before_;
};

}  // namespace vmtpy::linux
