// Starts threads by pthread_create, since std::thread can set neither the stack's size nor the
// signal mask.
#include "linux/threads.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <cerrno>
#include <csignal>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace vmtpy::linux {

namespace {

constexpr std::size_t STACK = 256UL * 1024;
constexpr std::size_t RESERVE = 64UL * 1024;

struct Start {
  const char* name;
  Role role;
  // The thread gives this address space back when it begins, so that its first needs can be met.
  void* reserve;
  std::function<void()> body;
};

void* run(void* argument) {
  std::unique_ptr<Start> start(static_cast<Start*>(argument));
  prctl(PR_SET_NAME, start->name);
  munmap(start->reserve, RESERVE);
  take_role(start->role);
  prepare_to_throw();
  start->body();
  return nullptr;
}

}  // namespace

int start_thread(const char* name, Role role, std::function<void()> body) {
  auto start = std::make_unique<Start>(Start{name, role, nullptr, std::move(body)});
  start->reserve =
      mmap(nullptr, RESERVE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start->reserve == MAP_FAILED) return errno;

  sigset_t blocked, before;
  sigfillset(&blocked);
  // These are raised by what the thread itself does. If they were blocked, they would kill the
  // process without calling a handler.
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigdelset(&blocked, number);

  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK);

  pthread_t thread;
  pthread_sigmask(SIG_SETMASK, &blocked, &before);  // the new thread inherits this mask
  const int error = pthread_create(&thread, &attributes, run, start.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0) {
    static_cast<void>(start.release());
  } else {
    munmap(start->reserve, RESERVE);
  }
  return error;
}

void prepare_to_throw() {
  [[maybe_unused]] volatile const int none = std::uncaught_exceptions();  // volatile keeps the call
}

void abandon(std::thread thread) {
  static auto& abandoned =
      *new std::vector<std::thread>();  // leak checkers find them through the reference
  abandoned.push_back(std::move(thread));
}

}  // namespace vmtpy::linux
