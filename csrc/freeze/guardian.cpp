// The session's side of the guardian: the shared page, the fork, the all-clear.
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
// Between two looks at whether it has ended; doubled from the one to the other.
constexpr Duration SHORTEST_LOOK = std::chrono::microseconds(100);
constexpr Duration LONGEST_LOOK = std::chrono::milliseconds(5);

// glibc has gettid() since 2.30.
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
  page_ = new (map(page_size_, MAP_SHARED | MAP_POPULATE)) GuardianPage();  // zero: all IDLE
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
  for (const Restore& one : duties.bounds) {
    bounds.push_back(one.path.c_str());
    bounds.push_back(one.text.c_str());
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
                       duties.rcu_path.c_str(),
                       duties.rcu_value.c_str(),
                       bounds.data(),
                       duties.marker.c_str(),
                       groups.data()};

  page_->owner = static_cast<std::uint32_t>(thread_id());
  page_->head.list.next = &page_->node;
  page_->node.next = &page_->head.list;
  page_->head.futex_offset =
      reinterpret_cast<char*>(&page_->owner) - reinterpret_cast<char*>(&page_->node);
  page_->head.list_op_pending = nullptr;
  // In place of glibc's list of this thread, which holds no robust mutex.
  if (syscall(SYS_set_robust_list, &page_->head, sizeof page_->head) != 0) return -errno;

  const pid_t child = system.fork();
  if (child == 0) stand_guard(watch);
  if (child < 0) {
    all_clear();
    return child;
  }
  process_ = child;

  for (int tenth = 0; tenth < READY_SECONDS * 10 && page_->ready == 0 && alive(); ++tenth) {
    const auto soon =
        std::chrono::steady_clock::now().time_since_epoch() + std::chrono::milliseconds(100);
    const timespec until = to_timespec(soon);
    wait_on(page_->ready, 0, &until);
    continue_if_stopped();
  }
  if (page_->ready) return 0;
  all_clear();
  end_within(Duration::zero());
  reap();
  process_ = 0;
  return -ETIMEDOUT;
}

// A zombie has ended, too, and is left one: until reap() its number is nobody else's. (A pidfd, to
// be waited for, takes Linux 5.3.)
bool Guardian::has_ended() const {
  siginfo_t end = {};
  constexpr int HOW = WEXITED | WNOHANG | WNOWAIT | __WALL;
  return waitid(P_PID, static_cast<id_t>(process_), &end, HOW) != 0 || end.si_pid != 0;
}

bool Guardian::ends_within(Duration time) const {
  const auto until = std::chrono::steady_clock::now() + time;
  for (Duration look = SHORTEST_LOOK; !has_ended(); look = std::min(2 * look, LONGEST_LOOK)) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(look);
  }
  return true;
}

bool Guardian::alive() const {
  return !has_ended();
}

void Guardian::all_clear() {
  for (std::size_t index = 0; index < count_; ++index) {
    const std::uint32_t state = page_->wards[index].state;
    VMTPY_ASSERT(state == IDLE || state == THAWED);
  }
  if (page_->owner.exchange(0) & FUTEX_WAITERS) wake(page_->owner);
  // What the kernel finds at the end of this thread must not lie in a page that is unmapped then.
  static robust_list_head empty = {{&empty.list}, 0, nullptr};
  syscall(SYS_set_robust_list, &empty, sizeof empty);
}

void Guardian::continue_if_stopped() const {
  kill(process_, SIGCONT);
}

// Not left to itself: somebody may have stopped it, and we may be gone before it goes on.
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
  // The guardian closes first and looks at the states then; so either it sees FREEZING or we this.
  if (!page_->closed) return true;
  ward.state = IDLE;
  return false;
}

void Guardian::set_frozen(std::size_t index) {
  std::uint32_t expected = FREEZING;  // not if the guardian was quicker
  page_->wards[index].state.compare_exchange_strong(expected, FROZEN);
}

bool Guardian::set_thawed(std::size_t index) {
  return page_->wards[index].state.exchange(IDLE) == THAWED;
}

// In this order: whoever sees that it is not settling any more sees the last deadline, too.
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
