// The conductor's preparation: all directories are opened, and each is compared with the plan. A
// snapshot that device-mapper takes below is waited for.
#include <algorithm>
#include <cerrno>

#include "freeze/conductor.h"

namespace vmtpy::freeze {

namespace {

using namespace std::chrono_literals;

constexpr Duration RESUME_PATIENCE = 2s;  // how long a snapshot of a volume below is waited for
constexpr Duration RESUME_LOOK = 10ms;

}  // namespace

bool Conductor::prepare() {
  if (const int error = freezer_->start_threads(freezer_)) {
    return end(EndReason::CALL, -1, "pthread_create", error);
  }
  if (!open()) return false;
  std::size_t index = 0;
  if (const int error = freezer_->compare_mounts(index, replaced_)) {
    if (error != -ESTALE) return end(EndReason::CALL, -1, "read /proc/self/mountinfo", -error);
    return end(EndReason::REPLACED, static_cast<int>(index), "", ESTALE);
  }
  if (!await_resumed()) return false;  // a syncfs would wait for a suspended device, too
  scout_->start();
  return true;
}

bool Conductor::open() {
  MutexLock lock(freezer_->mutex);
  freezer_->begin(Task::OPEN, -1);
  const Woken woken = wait_for_tasks(lock, clock_.now() + options_.presync_timeout);
  if (woken != Woken::DEADLINE) return woken == Woken::DONE || end_as(woken);
  const int index = find_busy(Task::OPEN);
  lock.unlock();
  parent_ = freezer_->describe_parent(static_cast<std::size_t>(index));
  return end(EndReason::OPEN_TIMEOUT, index);
}

// Waits while device-mapper has suspended a device below, because a snapshot of that volume is
// being taken. The two freezes would disturb each other: some kernels then never freeze this
// filesystem for a snapshot again. A suspension mostly takes milliseconds.
bool Conductor::await_resumed() {
  const Time deadline = clock_.now() + RESUME_PATIENCE;
  for (;;) {
    const int index = find_suspended();
    if (index < 0) return true;
    MutexLock lock(freezer_->mutex);
    if (state_.asked != Asked::NOTHING) return end_as_asked();
    const Time now = clock_.now();
    if (now >= deadline) return end(EndReason::SUSPENDED, index);
    clock_.wait_until(lock, freezer_->changed, std::min(deadline, now + RESUME_LOOK));
  }
}

int Conductor::find_suspended() {
  for (std::size_t index = 0; index < freezer_->size(); ++index) {
    const int which = freezer_->find_suspended(index);
    if (which < 0) continue;
    const std::string& device = freezer_->filesystems()[index].mapped[which];
    std::string text;
    const bool named = system_.read_file("/sys/dev/block/" + device + "/dm/name", text) == 0;
    suspended_ = named ? text.substr(0, text.find('\n')) + " (" + device + ")" : device;
    return static_cast<int>(index);
  }
  return -1;
}

}  // namespace vmtpy::freeze
