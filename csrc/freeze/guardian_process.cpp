// The life of the guardian process. It is a bare clone of a process with many threads, so nothing
// here takes a lock, allocates or uses what glibc keeps for each thread. The threads that it starts
// share one errno and therefore use bare system calls.
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
#include "freeze/rcu.h"
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

// Returns true when nothing is left to put back.
bool restore_rcu(const Watch& watch) {
  constexpr int TRIES = 3;
  for (int attempt = 0; watch.page->rcu && attempt < TRIES; ++attempt) {
    if (write_text(RcuSwitch::PATH, RcuSwitch::OFF)) return true;
  }
  return watch.page->rcu == 0;
}

void remove_marker(const Watch& watch) {
  if (*watch.marker) unlink(watch.marker);
}

// Puts back the bounds on dirty pages, each whatever becomes of the others. Returns true when
// nothing is left to put back.
bool restore_bounds(const Watch& watch) {
  constexpr int TRIES = 3;
  bool restored = watch.page->bounds == 0;
  for (int attempt = 0; !restored && attempt < TRIES; ++attempt) {
    restored = true;
    for (const char* const* pair = watch.bounds; *pair; pair += 2) {
      const bool written = write_text(pair[0], pair[1]);
      // The device of a missing file is gone.
      if (!written && errno != ENOENT && errno != ENODEV) restored = false;
    }
  }
  return restored;
}

bool restore_all(const Watch& watch) {
  const bool bounds = restore_bounds(watch);
  return restore_rcu(watch) && bounds;
}

struct WardTask {
  const Watch* watch;
  std::size_t index;
};

// Retries FITHAW until the ward is certainly not frozen by the session. A ward in FREEZING answers
// EINVAL, or waits, until its FIFREEZE returns, which may be never while the thread in it lives.
// (If that FIFREEZE was about to fail because somebody else had frozen the filesystem, and the
// agent died in just those microseconds, this thaws somebody else's freeze: the two cases cannot be
// told apart.)
int thaw_ward(void* argument) {
  const WardTask& task = *static_cast<WardTask*>(argument);
  const Watch& watch = *task.watch;
  Ward& ward = watch.page->wards[task.index];
  for (long milliseconds = 1;; milliseconds = milliseconds < 500 ? milliseconds * 2 : 500) {
    const std::uint32_t state = ward.state;
    if (state == IDLE) break;
    // The thread is looked for before the thaw: if it is gone now, its FIFREEZE returned before the
    // thaw.
    const bool gone = bare_syscall(SYS_tgkill, watch.agent, ward.thread, 0) == -ESRCH;
    const int result = watch.system->thaw(watch.descriptors[task.index]);
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

// Thaws all wards at once, each in its own thread, because a thaw may wait (an inner ext4 for its
// outer filesystem, a dm device for its resume) and none may wait behind another. Returns true when
// the kernel's settings are back.
bool thaw_all(const Watch& watch) {
  watch.page->closed = 1;
  constexpr int FLAGS =
      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  for (std::size_t left = watch.count; left-- > 0;) {
    // The task is at the bottom of the thread's own stack, because the guardian cannot allocate.
    char* stack = watch.stacks + left * GUARDIAN_STACK;
    WardTask* task = reinterpret_cast<WardTask*>(stack);
    *task = {&watch, left};
    if (clone(thaw_ward, stack + GUARDIAN_STACK, FLAGS, task) < 0) thaw_ward(task);
  }
  // This does not wait for the thaws, one of which may take for ever.
  const bool restored = restore_all(watch);
  for (std::uint32_t done; (done = watch.page->done) < watch.count;) {
    wait_on(watch.page->done, done, nullptr);
  }
  return restored;
}

constexpr std::int64_t SECOND = 1000000000;
// The pause between two looks while the deadline settles.
constexpr std::int64_t LOOK = SECOND / 10;

// What the guardian hears: the all-clear, that the deadline has passed, or that the session has
// died.
enum class Need { NONE, LATE, DEAD };

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
    const bool settling = watch.page->settling;  // read before the deadline, see set_deadline()
    const std::int64_t deadline = watch.page->deadline;
    const std::int64_t until = settling ? std::min(deadline, now() + LOOK) : deadline;
    const timespec time = {static_cast<time_t>(until / SECOND), static_cast<long>(until % SECOND)};
    if (wait_on(owner, value | FUTEX_WAITERS, limited ? &time : nullptr) == 0) continue;
    if (errno == ETIMEDOUT && watch.page->deadline <= now()) return Need::LATE;
  }
}

// Stands guard until the session is over. A session that is only late may go on at any moment where
// it was, just about to write the marker or to set rcu_expedited. It freezes nothing any more, but
// if it then dies, only the guardian can take back what it has done.
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

// Separates the process from the agent's terminal, signals, pipes, control group and memory
// pressure.
void settle(const Watch& watch) {
  sigset_t all;
  sigfillset(&all);
  // 8 is the size of the kernel's sigset_t
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, nullptr, 8);
  setsid();
  prctl(PR_SET_NAME, "vmtpy-guardian");
  if (chdir("/") != 0) return;  // this cannot fail for the root directory
  linux::close_all_but(watch.kept, watch.count);
  for (const char* const* group = watch.groups; *group; ++group) write_text(*group, "0");
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  write_text("/proc/self/oom_score_adj", "-1000");
  // With MCL_ONFAULT the memory of a large agent is shared and not copied.
  mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
  // thaw_all() needs these stacks when there may be no memory left, so they are touched now.
  constexpr std::size_t PAGE = 4096;  // pages may be larger
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
  // The directories are closed first, because they keep mounts busy and the memory of a large agent
  // takes longer to drop.
  linux::close_all_but(nullptr, 0);
  bare_syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

}  // namespace vmtpy::freeze
