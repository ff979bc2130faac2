// The session's side of the guardian: the shared page, the fork and the all-clear. Relies on robust
// futexes, which the kernel marks when a thread dies.
#include "freeze/guardian.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <new>
#include <thread>

#include "base/assertion.h"
#include "base/errors.h"
#include "freeze/guardian_page.h"

namespace vmtpy::freeze {

namespace {

constexpr int READY_SECONDS = 5;
// The pauses between two looks at whether the process has ended. Each is double the one before.
constexpr Duration SHORTEST_LOOK = std::chrono::microseconds(100);
constexpr Duration LONGEST_LOOK = std::chrono::milliseconds(5);

// glibc has gettid() from 2.30 on.
pid_t thread_id() {
  return static_cast<pid_t>(syscall(SYS_gettid));
}

void* map(std::size_t size, int flags) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
  if (memory == MAP_FAILED) throw SystemError("mmap", "", errno);
  return memory;
}

timespec to_timespec(Duration duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  return {static_cast<time_t>(seconds.count()), static_cast<long>((duration - seconds).count())};
}

}  // namespace

Guardian::Guardian(std::size_t filesystems)
    : page_size_(sizeof(GuardianPage) + filesystems * sizeof(Ward)), count_(filesystems) {
  // Zero means IDLE for all.
  page_ = new (map(page_size_, MAP_SHARED | MAP_POPULATE)) GuardianPage();
  try {
    stacks_ = map((filesystems + 1) * GUARDIAN_STACK, MAP_PRIVATE);
  } catch (...) {
    munmap(page_, page_size_);
    throw;
  }
}

Guardian::~Guardian() {
  munmap(stacks_, (count_ + 1) * GUARDIAN_STACK);
  munmap(page_, page_size_);
}

int Guardian::start(linux::System& system, const std::vector<int>& descriptors,
                    const GuardianDuties& duties, Time deadline, bool settling) {
  VMTPY_ASSERT(!started() && descriptors.size() == count_);
  std::vector<int> kept(descriptors);
  std::sort(kept.begin(), kept.end());
  std::vector<const char*> groups;
  for (const std::string& group : duties.groups) groups.push_back(group.c_str());
  groups.push_back(nullptr);
  std::vector<const char*> bounds;
  for (const Restore& bound : duties.bounds) {
    bounds.push_back(bound.path.c_str());
    bounds.push_back(bound.text.c_str());
  }
  bounds.push_back(nullptr);
  set_deadline(deadline, settling);
  const Watch watch = {&system,
                       page_,
                       count_,
                       descriptors.data(),
                       kept.data(),
                       static_cast<char*>(stacks_),
                       getpid(),
                       bounds.data(),
                       duties.marker.c_str(),
                       groups.data()};

  if (const int error = watch_this_thread()) return error;
  const pid_t child = system.fork();
  if (child == 0) stand_guard(watch);
  if (child < 0) {
    all_clear();
    return child;
  }
  process_ = child;

  await_ready();
  if (page_->ready) return 0;
  all_clear();
  end_within(Duration::zero());
  reap();
  process_ = 0;
  return -ETIMEDOUT;
}

// Makes the kernel mark the page when this thread dies.
int Guardian::watch_this_thread() {
  page_->owner = static_cast<std::uint32_t>(thread_id());
  page_->head.list.next = &page_->node;
  page_->node.next = &page_->head.list;
  page_->head.futex_offset =
      reinterpret_cast<char*>(&page_->owner) - reinterpret_cast<char*>(&page_->node);
  page_->head.list_op_pending = nullptr;
  // This list stands in for glibc's list of this thread, which holds no robust mutex.
  if (syscall(SYS_set_robust_list, &page_->head, sizeof page_->head) != 0) return -errno;
  return 0;
}

// Waits until the process stands guard, has ended, or takes too long.
void Guardian::await_ready() const {
  for (int tenth = 0; tenth < READY_SECONDS * 10 && page_->ready == 0 && alive(); ++tenth) {
    const auto soon =
        std::chrono::steady_clock::now().time_since_epoch() + std::chrono::milliseconds(100);
    const timespec until = to_timespec(soon);
    wait_on(page_->ready, 0, &until);
    continue_if_stopped();
  }
}

// A zombie is not alive, but stays a zombie until reap(), so that its number belongs to no other
// process. (Waiting for a pidfd takes Linux 5.3.)
bool Guardian::alive() const {
  siginfo_t end = {};
  constexpr int HOW = WEXITED | WNOHANG | WNOWAIT | __WALL;
  return waitid(P_PID, static_cast<id_t>(process_), &end, HOW) == 0 && end.si_pid == 0;
}

bool Guardian::ends_within(Duration time) const {
  const auto until = std::chrono::steady_clock::now() + time;
  for (Duration look = SHORTEST_LOOK; alive(); look = std::min(2 * look, LONGEST_LOOK)) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(look);
  }
  return true;
}

void Guardian::all_clear() {
  for (std::size_t index = 0; index < count_; ++index) {
    const std::uint32_t state = page_->wards[index].state;
    VMTPY_ASSERT(state == IDLE || state == THAWED);
  }
  if (page_->owner.exchange(0) & FUTEX_WAITERS) wake(page_->owner);
  // The list that the kernel finds at the end of this thread must not be in a page that is unmapped
  // by then.
  static robust_list_head empty = {{&empty.list}, 0, nullptr};
  syscall(SYS_set_robust_list, &empty, sizeof empty);
}

void Guardian::continue_if_stopped() const {
  kill(process_, SIGCONT);
}

// Kills the process where it does not end by itself: somebody may have stopped it, and the session
// may be gone before it goes on.
void Guardian::end_within(Duration time) const {
  if (!ends_within(time)) kill(process_, SIGKILL);
}

void Guardian::reap() {
  while (waitpid(process_, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

bool Guardian::begin_freeze(std::size_t index) {
  VMTPY_ASSERT(index < count_);
  Ward& ward = page_->wards[index];
  // A guardian that has begun to thaw may have answered an earlier try.
  VMTPY_ASSERT(ward.state == IDLE || ward.state == THAWED);
  ward.thread = thread_id();
  ward.state = FREEZING;
  // The guardian sets `closed` before it looks at the states, so either it sees FREEZING or this
  // thread sees `closed`.
  if (!page_->closed) return true;
  ward.state = IDLE;
  return false;
}

void Guardian::set_frozen(std::size_t index) {
  std::uint32_t expected = FREEZING;  // the guardian may have been quicker
  page_->wards[index].state.compare_exchange_strong(expected, FROZEN);
}

bool Guardian::set_thawed(std::size_t index) {
  return page_->wards[index].state.exchange(IDLE) == THAWED;
}

// The order matters: whoever sees that the deadline no longer settles also sees the last deadline.
void Guardian::set_deadline(Time deadline, bool settling) {
  page_->deadline = std::chrono::duration_cast<Duration>(deadline.time_since_epoch()).count();
  page_->settling = settling;
}

void Guardian::set_bounds(bool changed) {
  page_->bounds = changed;
}

void Guardian::set_rcu(bool changed) {
  page_->rcu = changed;
}

}  // namespace vmtpy::freeze
