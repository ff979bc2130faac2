// Two flags for each call in a shared page. A call that stops sleeps by bare system calls, since it
// may run in the guardian.
#include "doubles/stopping_system.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "base/bare_syscall.h"
#include "base/errors.h"

namespace vmtpy::doubles {

namespace {

enum State : std::uint32_t { OPEN, ARMED, STOPPED };

constexpr int LONGEST_STOP = 30000;  // milliseconds

}  // namespace

struct StoppingSystem::Places {
  std::atomic<std::uint32_t> before, after;
};

struct StoppingSystem::Page {
  Places places[CALLS + 1];
};

StoppingSystem::StoppingSystem(linux::System& real, const std::string& path)
    : InterceptingSystem(real), process_(getpid()) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) throw SystemError("open", path, errno);
  const int sized = ftruncate(file, sizeof(Page));
  void* memory = sized < 0 ? MAP_FAILED
                           : mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_POPULATE, file, 0);
  const int error = errno;
  ::close(file);
  if (memory == MAP_FAILED) throw SystemError("mmap", path, error);
  page_ = static_cast<Page*>(memory);
}

StoppingSystem::~StoppingSystem() {
  munmap(page_, sizeof(Page));
}

void StoppingSystem::wait_at(std::atomic<std::uint32_t>& state) {
  std::uint32_t expected = ARMED;
  if (!state.compare_exchange_strong(expected, STOPPED)) return;
  const timespec pause = {0, 1000000};
  for (int waited = 0; state == STOPPED && waited < LONGEST_STOP; ++waited) {
    bare_syscall(SYS_nanosleep, reinterpret_cast<long>(&pause));
  }
}

std::atomic<std::uint32_t>& StoppingSystem::at(const std::string& place) const {
  for (int call = 0; call <= GUARDIANS_THAW; ++call) {
    const char* name = call == GUARDIANS_THAW ? "guardian's thaw" : NAMES[call];
    if (place == std::string("before ") + name) return page_->places[call].before;
    if (place == std::string("after ") + name) return page_->places[call].after;
  }
  throw Error("\"" + place + "\" is no place to stop: name a call after \"before\" or \"after\"");
}

void StoppingSystem::stop(const std::string& place) {
  at(place) = ARMED;
}

bool StoppingSystem::stopped(const std::string& place) const {
  return at(place) == STOPPED;
}

void StoppingSystem::let_go(const std::string& place) {
  at(place) = OPEN;
}

// In the guardian a thaw has places of its own.
StoppingSystem::Places& StoppingSystem::places_of(Call call) const {
  return page_->places[call == THAW && getpid() != process_ ? GUARDIANS_THAW : call];
}

int StoppingSystem::before(Call call) {
  wait_at(places_of(call).before);
  return 0;
}

void StoppingSystem::after(Call call, int result) {
  const bool new_guardian = call == FORK && result == 0;
  if (!new_guardian) wait_at(places_of(call).after);
}

}  // namespace vmtpy::doubles
