// The end of a trace whose program goes on: every thread is stopped, gets back what was changed in
// it, and is let go. It relies on the kernel to let go the rest when the tracing thread ends.
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "emulator/ptrace/tracer.h"

namespace vmtpy::emulator {

namespace {

// How long a thread may take to stop before it is let go. One that writes to a frozen filesystem
// cannot stop.
constexpr Duration TIME_TO_STOP = std::chrono::seconds(1);

}  // namespace

// A thread that cannot stop while others stand still, such as the parent in a vfork, is let go in
// the second round. The kernel lets go what cannot stop at all when the tracing thread ends.
void Tracer::detach_all() {
  for (int round = 0; round < 2 && !threads_.empty(); ++round) {
    // All threads stop before the first is let go, because what let_go() does overwrites text that
    // another might run.
    std::map<pid_t, int> stopped = stop_all();
    for (auto& [thread, signal] : stopped) {
      Tracee tracee(thread);
      cpuid_.let_go(tracee, signal);
    }
    for (const auto& [thread, signal] : stopped) {
      Tracee(thread).detach(signal);
      threads_.erase(thread);
    }
  }
}

// Returns the threads that have stopped in time, each with the signal that it is still to get.
// Waiting for single threads would take forever where a program's first thread has ended before the
// others, because its end is reported as the last one.
std::map<pid_t, int> Tracer::stop_all() {
  std::erase_if(threads_, [](pid_t thread) { return !Tracee(thread).interrupt(); });
  std::map<pid_t, int> stopped;
  const Time deadline = std::chrono::steady_clock::now() + TIME_TO_STOP;
  while (stopped.size() < threads_.size()) {
    int status = 0;
    pid_t thread = waitpid(-1, &status, __WALL | __WNOTHREAD | WNOHANG);
    if (thread > 0 && WIFSTOPPED(status)) {
      threads_.insert(thread);
      if (auto signal = signal_at_detach(thread, status)) stopped[thread] = *signal;
    } else if (thread > 0) {
      stopped.erase(thread);
      ended(thread, status);
    } else {
      const bool nothing_left = thread < 0 && errno == ECHILD;
      if (nothing_left || std::chrono::steady_clock::now() >= deadline) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  return stopped;
}

// Returns the signal that a stopped thread is to get when it is let go, or nothing if the thread
// has to go on first: a trap to the host that it has made is reported after an interrupt.
std::optional<int> Tracer::signal_at_detach(pid_t thread, int status) {
  Tracee tracee(thread);
  const int event = status >> 16;
  if (event == PTRACE_EVENT_STOP && tracee.has_pending_fault()) {
    tracee.resume(0);
    return std::nullopt;
  }
  if (event != 0) {
    auto child = tracee.newborn(event);
    if (child && Tracee(*child).interrupt()) threads_.insert(*child);
    return 0;
  }
  const int signal = WSTOPSIG(status);
  return signal == (SIGTRAP | CALL) || answered(tracee, signal) ? 0 : signal;
}

}  // namespace vmtpy::emulator
