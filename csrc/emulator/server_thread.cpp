// Starts the thread with all signals blocked, except those that the thread itself causes. It relies
// on threads inheriting the mask.
#include "emulator/server_thread.h"

#include <csignal>
#include <utility>

namespace vmtpy::emulator {

std::thread start_server_thread(std::function<void()> body) {
  sigset_t blocked, before;
  sigfillset(&blocked);
  // These are raised by what the thread itself does. If they were blocked, they would kill the
  // process without calling a handler.
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigdelset(&blocked, number);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace vmtpy::emulator
