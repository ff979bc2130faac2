// Writes the failed assertion with plain system calls and aborts. It relies on no heap and no lock,
// so it may be called anywhere.
#include "base/assertion.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace vmtpy {

namespace {

// A pipe that is ready for writing takes PIPE_BUF bytes, which is more than a line has.
bool takes_a_line(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0 || S_ISREG(status.st_mode)) return false;
  pollfd watched = {descriptor, POLLOUT, 0};
  return poll(&watched, 1, 0) == 1 && (watched.revents & POLLOUT) != 0;
}

}  // namespace

void assertion_failed(const char* condition, const char* file, int line) noexcept {
  char text[512];
  const int length =
      snprintf(text, sizeof text, "vmtpy: %s:%d: assertion failed: %s\n", file, line, condition);
  if (length > 0 && takes_a_line(STDERR_FILENO)) {
    const auto size =
        static_cast<size_t>(length) < sizeof text ? static_cast<size_t>(length) : sizeof text - 1;
    static_cast<void>(!write(STDERR_FILENO, text, size));
  }
  std::abort();
}

}  // namespace vmtpy
