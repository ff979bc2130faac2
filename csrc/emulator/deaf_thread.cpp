#include "emulator/deaf_thread.h"

#include <csignal>
#include <utility>

namespace vmtpy::emulator {

std::thread deaf_thread(std::function<void()> body) {
  sigset_t deaf, before;
  sigfillset(&deaf);
  // Raised by what the thread itself does: blocked, they would kill the process without a handler.
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigdelset(&deaf, number);
  pthread_sigmask(SIG_SETMASK, &deaf, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace vmtpy::emulator
