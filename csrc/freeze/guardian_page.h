// What a freeze session and its guardian process share, and what the process is given at the fork.
// Only guardian.cpp (the session's side) and guardian_process.cpp (the guardian's) include it.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "linux/system.h"

namespace vmtpy::freeze {

enum WardState : std::uint32_t {
  IDLE,      // not frozen by the session
  FREEZING,  // in FIFREEZE, or just before or after it
  FROZEN,
  THAWED,  // thawed by the guardian
};

struct Ward {
  std::atomic<std::uint32_t> state;
  std::atomic<std::int32_t> thread;  // the thread that freezes it
};

// The page that both sides map. The kernel walks a dying thread's robust list (set_robust_list(2)).
// This list has one entry, `node`, and `owner` is its futex: the conductor's thread id, 0 after the
// all-clear, with FUTEX_OWNER_DIED set by the kernel. A pthread mutex would not do, because the
// guardian, a bare clone, has no pthread identity.
struct GuardianPage {
  robust_list_head head;
  robust_list node;
  std::atomic<std::uint32_t> owner;
  std::atomic<std::uint32_t> ready;  // a futex: the process stands guard
  // The guardian has begun to thaw, so no freeze may begin any more.
  std::atomic<std::uint32_t> closed;
  std::atomic<std::uint32_t> done;      // a futex: the number of wards that it is done with
  std::atomic<std::uint32_t> rcu;       // rcu_expedited is changed
  std::atomic<std::uint32_t> bounds;    // a bound on dirty pages is changed
  std::atomic<std::uint32_t> settling;  // the deadline will be set anew
  std::atomic<std::int64_t> deadline;   // CLOCK_MONOTONIC, nanoseconds
  Ward wards[];
};

struct Watch {
  linux::System* system;
  GuardianPage* page;
  std::size_t count;
  const int* descriptors;  // the directories of the wards
  const int* kept;         // the same in ascending order
  char* stacks;            // count × GUARDIAN_STACK, for the threads that thaw
  pid_t agent;
  const char* const* bounds;  // path and text in turns; ends with nullptr
  const char* marker;         // "" if there is none
  const char* const* groups;  // ends with nullptr
};

inline constexpr std::size_t GUARDIAN_STACK = 16384;

[[noreturn]] void stand_guard(const Watch& watch);

inline long wait_on(std::atomic<std::uint32_t>& futex, std::uint32_t value,
                    const timespec* deadline) {
  return syscall(SYS_futex, &futex, FUTEX_WAIT_BITSET, value, deadline, nullptr,
                 FUTEX_BITSET_MATCH_ANY);
}

inline void wake(std::atomic<std::uint32_t>& futex) {
  syscall(SYS_futex, &futex, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace vmtpy::freeze
