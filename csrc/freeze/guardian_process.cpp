// The guardian's own life. It is a bare clone of a process with many threads, so nothing here takes
// a lock, allocates or uses what glibc keeps per thread; the threads that it starts share one errno
// and therefore make their system calls by hand.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/bare_syscall.h"
#include "freeze/guardian_page.h"
#include "linux/descriptors.h"
#include "linux/thread_role.h"

namespace vmtpy::freeze {

namespace {

void pause_for(long milliseconds) {
  const timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  bare_syscall(SYS_nanosleep, reinterpret_cast<long>(&pause));
}

bool write_text(const char* path, const char* text) {
  const int file = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return false;
  const ssize_t written = write(file, text, strlen(text));
  close(file);
  return written > 0;
}

// True when there is nothing (any more) to put back.
bool restore_rcu(const Watch& watch) {
  constexpr int TRIES = 3;
  for (int attempt = 0; watch.page->rcu && attempt < TRIES; ++attempt) {
    if (write_text(watch.rcu_path, watch.rcu_value)) return true;
  }
  return watch.page->rcu == 0;
}

void remove_marker(const Watch& watch) {
  if (*watch.marker) unlink(watch.marker);
}

// The same for the bounds on dirty pages, each of which is written whatever becomes of the others.
bool restore_bounds(const Watch& watch) {
  constexpr int TRIES = 3;
  bool restored = watch.page->bounds == 0;
  for (int attempt = 0; !restored && attempt < TRIES; ++attempt) {
    restored = true;
    for (const char* const* pair = watch.bounds; *pair; pair += 2) {
      const bool written = write_text(pair[0], pair[1]);
      // Without the file its device is gone.
      if (!written && errno != ENOENT && errno != ENODEV) restored = false;
    }
  }
  return restored;
}

bool restore_all(const Watch& watch) {
  const bool bounds = restore_bounds(watch);
  return restore_rcu(watch) && bounds;
}

struct Errand {
  const Watch* watch;
  std::size_t index;
};

// FITHAW until it is certain that the ward is not frozen by us. A ward in FREEZING answers EINVAL,
// or waits, until its FIFREEZE returns; that may be never, while the thread in it lives. (If its
// FIFREEZE was about to fail because somebody else had frozen the filesystem, and the agent died in
// just those microseconds, this thaws for the somebody: it cannot be told apart.)
int thaw_ward(void* argument) {
  const Errand& errand = *static_cast<Errand*>(argument);
  const Watch& watch = *errand.watch;
  Ward& ward = watch.page->wards[errand.index];
  for (long milliseconds = 1;; milliseconds = milliseconds < 500 ? milliseconds * 2 : 500) {
    const std::uint32_t state = ward.state;
    if (state == IDLE) break;
    // Before the thaw: a thread that is gone now had its FIFREEZE returned before the thaw.
    const bool gone = bare_syscall(SYS_tgkill, watch.agent, ward.thread, 0) == -ESRCH;
    const int result = watch.system->thaw(watch.descriptors[errand.index]);
    if (result == 0) {
      ward.state = THAWED;
      break;
    }
    if (result == -EINVAL && (state != FREEZING || gone)) break;  // somebody else has thawed it
    pause_for(milliseconds);
  }
  watch.page->done.fetch_add(1);
  bare_syscall(SYS_futex, reinterpret_cast<long>(&watch.page->done), FUTEX_WAKE, 1);
  return 0;
}

// Each ward in its own thread, all at once: a thaw may wait (an inner ext4 for its outer
// filesystem, a dm device for its resume), and none may wait behind another. True: rcu_expedited is
// as it was.
bool thaw_all(const Watch& watch) {
  watch.page->closed = 1;
  constexpr int FLAGS =
      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  for (std::size_t left = watch.count; left-- > 0;) {
    // The errand lies at the bottom of the thread's own stack: there is no memory to be had here.
    char* stack = watch.stacks + left * GUARDIAN_STACK;
    Errand* errand = reinterpret_cast<Errand*>(stack);
    *errand = {&watch, left};
    if (clone(thaw_ward, stack + GUARDIAN_STACK, FLAGS, errand) < 0) thaw_ward(errand);
  }
  const bool restored = restore_all(watch);  // before the thaws, one of which may take for ever
  for (std::uint32_t done; (done = watch.page->done) < watch.count;) {
    wait_on(watch.page->done, done, nullptr);
  }
  return restored;
}

constexpr std::int64_t SECOND = 1000000000;
constexpr std::int64_t LOOK = SECOND / 10;  // while the deadline is not settled

enum class Need { NONE, LATE, DEAD };  // all-clear; past the deadline; the session has died

std::int64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * SECOND + time.tv_nsec;
}

Need wait_for_need(const Watch& watch, bool limited) {
  std::atomic<std::uint32_t>& owner = watch.page->owner;
  for (;;) {
    std::uint32_t value = owner;
    if (value == 0) return Need::NONE;
    if (value & FUTEX_OWNER_DIED) return Need::DEAD;
    // Without this mark the kernel and the all-clear would wake nobody.
    if (!(value & FUTEX_WAITERS) && !owner.compare_exchange_strong(value, value | FUTEX_WAITERS)) {
      continue;
    }
    const bool settling = watch.page->settling;  // before the deadline, see set_deadline()
    const std::int64_t deadline = watch.page->deadline;
    const std::int64_t until = settling ? std::min(deadline, now() + LOOK) : deadline;
    const timespec time = {static_cast<time_t>(until / SECOND), static_cast<long>(until % SECOND)};
    if (wait_on(owner, value | FUTEX_WAITERS, limited ? &time : nullptr) == 0) continue;
    if (errno == ETIMEDOUT && watch.page->deadline <= now()) return Need::LATE;
  }
}

// A session that is only late may go on at any moment where it was: just about to write the marker,
// or to set rcu_expedited. It freezes nothing any more, but what it leaves when it dies after all
// would be nobody's, so the guardian stays until the session is over.
void guard(const Watch& watch) {
  Need need = wait_for_need(watch, true);
  if (need == Need::NONE) return;
  bool restored = thaw_all(watch);
  if (need == Need::LATE) {
    if (watch.page->rcu == 0 && watch.page->bounds == 0) remove_marker(watch);
    need = wait_for_need(watch, false);
    if (need == Need::DEAD) restored = restore_all(watch);
  }
  if (need == Need::DEAD && restored) remove_marker(watch);
}

// Away from the terminal, the signals, the pipes, the control group and the memory pressure of the
// agent.
void settle(const Watch& watch) {
  sigset_t all;
  sigfillset(&all);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, nullptr, 8);  // bytes of the kernel's sigset_t
  setsid();
  prctl(PR_SET_NAME, "vmtpy-guardian");
  if (chdir("/") != 0) return;  // cannot be: it is the root directory
  linux::close_all_but(watch.kept, watch.count);
  for (const char* const* group = watch.groups; *group; ++group) write_text(*group, "0");
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  write_text("/proc/self/oom_score_adj", "-1000");
  // MCL_ONFAULT: what a large agent has in memory is shared with it, not copied.
  mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
  // The stacks that thaw_all() needs, now: by then there may be no memory left.
  constexpr std::size_t PAGE = 4096;  // or larger
  volatile char* stacks = watch.stacks;
  for (std::size_t at = 0; at < watch.count * GUARDIAN_STACK; at += PAGE) stacks[at] = 0;
  linux::take_role(linux::Role::GUARDIAN);
}

}  // namespace

void stand_guard(const Watch& watch) {
  settle(watch);
  watch.page->ready = 1;
  wake(watch.page->ready);
  guard(watch);
  // First the directories, which keep mounts busy: the memory of a large agent takes longer to
  // drop.
  linux::close_all_but(nullptr, 0);
  bare_syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

}  // namespace vmtpy::freeze
