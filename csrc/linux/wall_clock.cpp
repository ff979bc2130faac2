// Reads and moves the kernel's wall clock. It relies on adjtimex(2) and adjtime(3), and on the
// right CAP_SYS_TIME.
#include "linux/wall_clock.h"

#include <sys/time.h>
#include <sys/timex.h>

#include <cerrno>

#include "base/errors.h"

namespace vmtpy::linux {

namespace {

constexpr std::int64_t SECOND = 1'000'000;

timeval split(std::int64_t us) {
  std::int64_t seconds = us / SECOND;
  std::int64_t rest = us % SECOND;
  if (rest < 0) {
    rest += SECOND;
    --seconds;
  }
  return {seconds, rest};
}

}  // namespace

bool wall_clock_is_kept() {
  timex state{};
  return ::adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

void step_wall_clock(std::int64_t by_us) {
  // ADJ_SETOFFSET adds in one system call, so no time is lost between reading and setting.
  timex change{};
  change.modes = ADJ_SETOFFSET;
  change.time = split(by_us);
  if (::adjtimex(&change) < 0) throw SystemError("adjtimex", "", errno);
}

void slew_wall_clock(std::int64_t by_us) {
  const timeval delta = split(by_us);
  if (::adjtime(&delta, nullptr) < 0) throw SystemError("adjtime", "", errno);
}

}  // namespace vmtpy::linux
