// Two flags for each call in a shared page. A call that stops sleeps by bare system calls, since it
// may run in the guardian.
#include "doubles/stopping_system.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/bare_syscall.h"
#include "base/errors.h"

namespace vmtpy::doubles {

namespace {

// Each call has two places: before and after it.
enum Call : int {
  OPEN_DIRECTORY,
  FREEZE,
  THAW,
  GUARDIANS_THAW,
  FORK,
  WRITE_FILE,
  CREATE_FILE,
  REMOVE_FILE,
  CALLS
};
constexpr const char* NAMES[] = {"open_directory", "freeze",     "thaw",        "guardian's thaw",
                                 "fork",           "write_file", "create_file", "remove_file"};
static_assert(std::size(NAMES) == CALLS);

constexpr int before(int call) {
  return 2 * call;
}
constexpr int after(int call) {
  return 2 * call + 1;
}

enum State : std::uint32_t { OPEN, ARMED, STOPPED };

constexpr int LONGEST_STOP = 30000;  // milliseconds

}  // namespace

struct StoppingSystem::Page {
  std::atomic<std::uint32_t> places[2 * CALLS];
};

StoppingSystem::StoppingSystem(linux::System& real, const std::string& path)
    : real_(real), process_(getpid()) {
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

std::atomic<std::uint32_t>& StoppingSystem::at(const std::string& place) const {
  for (int call = 0; call < CALLS; ++call) {
    if (place == std::string("before ") + NAMES[call]) return page_->places[before(call)];
    if (place == std::string("after ") + NAMES[call]) return page_->places[after(call)];
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

void StoppingSystem::pass(int place) {
  std::atomic<std::uint32_t>& state = page_->places[place];
  std::uint32_t expected = ARMED;
  if (!state.compare_exchange_strong(expected, STOPPED)) return;
  const timespec pause = {0, 1000000};
  for (int waited = 0; state == STOPPED && waited < LONGEST_STOP; ++waited) {
    bare_syscall(SYS_nanosleep, reinterpret_cast<long>(&pause));
  }
}

int StoppingSystem::open_directory(const std::string& path) {
  pass(before(OPEN_DIRECTORY));
  const int result = real_.open_directory(path);
  pass(after(OPEN_DIRECTORY));
  return result;
}

int StoppingSystem::freeze(int descriptor) {
  pass(before(FREEZE));
  const int result = real_.freeze(descriptor);
  pass(after(FREEZE));
  return result;
}

int StoppingSystem::thaw(int descriptor) {
  const int call = getpid() == process_ ? THAW : GUARDIANS_THAW;
  pass(before(call));
  const int result = real_.thaw(descriptor);
  pass(after(call));
  return result;
}

int StoppingSystem::close(int descriptor) {
  return real_.close(descriptor);
}
int StoppingSystem::mount_id(int descriptor, linux::MountId& id) {
  return real_.mount_id(descriptor, id);
}
int StoppingSystem::sync(int descriptor) {
  return real_.sync(descriptor);
}
pid_t StoppingSystem::fork() {
  pass(before(FORK));
  const pid_t result = real_.fork();
  if (result != 0) pass(after(FORK));
  return result;
}
int StoppingSystem::read_file(const std::string& path, std::string& text) {
  return real_.read_file(path, text);
}
int StoppingSystem::write_file(const std::string& path, std::string_view text) {
  pass(before(WRITE_FILE));
  const int result = real_.write_file(path, text);
  pass(after(WRITE_FILE));
  return result;
}
int StoppingSystem::create_file(const std::string& path, std::string_view text) {
  pass(before(CREATE_FILE));
  const int result = real_.create_file(path, text);
  pass(after(CREATE_FILE));
  return result;
}
int StoppingSystem::make_directory(const std::string& path) {
  return real_.make_directory(path);
}
int StoppingSystem::remove_file(const std::string& path) {
  pass(before(REMOVE_FILE));
  const int result = real_.remove_file(path);
  pass(after(REMOVE_FILE));
  return result;
}

}  // namespace vmtpy::doubles
