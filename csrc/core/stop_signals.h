// SIGTERM and the like, without Python: the handler writes to an eventfd, and the loop thaws and
// ends whether or not the interpreter is able to run. What was installed before comes back at the
// end.
#pragma once

#include <signal.h>

#include <utility>
#include <vector>

namespace vmtpy {

class StopSignals {
 public:
  // One at a time in a process. Throws SystemError.
  StopSignals(int event_fd, const std::vector<int>& signals);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  std::vector<std::pair<int, struct sigaction>> before_;
};

}  // namespace vmtpy
