// Closes descriptors in three ways, from the newest kernel's to the one that always works:
// close_range, the list in /proc/self/fd, and each number up to the limit.
#include "linux/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <climits>
#include <cstdint>

#include "base/bare_syscall.h"

namespace vmtpy::linux {

namespace {

// close_range is in Linux 5.9 and later; older headers do not name it.
constexpr long CLOSE_RANGE = 436;
// This is the most that the kernel lets a process have by default (fs.nr_open).
constexpr rlim_t MOST_DESCRIPTORS = 1 << 20;

// The form in which getdents64(2) gives an entry.
struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;
  std::uint8_t type;
  char name[5];
};

bool is_kept(int descriptor, const int* kept, std::size_t count) {
  return std::binary_search(kept, kept + count, descriptor);
}

bool close_by_ranges(const int* kept, std::size_t count) {
  long from = 0;
  for (std::size_t at = 0; at < count; ++at) {
    if (kept[at] > from && bare_syscall(CLOSE_RANGE, from, kept[at] - 1, 0) != 0) return false;
    from = kept[at] + 1L;
  }
  return bare_syscall(CLOSE_RANGE, from, UINT_MAX, 0) == 0;
}

// Returns -1 for a name that is not a descriptor.
int to_descriptor(const char* name) {
  int number = 0;
  for (const char* digit = name; *digit; ++digit) {
    if (*digit < '0' || *digit > '9') return -1;
    number = number * 10 + (*digit - '0');
  }
  return number;
}

// The kernel finds its place in this directory by number, so a descriptor that is closed meanwhile
// shifts nothing.
bool close_listed(const int* kept, std::size_t count) {
  constexpr const char* LIST = "/proc/self/fd";
  const long list = bare_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>(LIST),
                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (list < 0) return false;
  alignas(DirectoryEntry) char buffer[1024] = {};
  long size;
  while ((size = bare_syscall(SYS_getdents64, list, reinterpret_cast<long>(buffer),
                              sizeof buffer)) > 0) {
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer + at);
      at += entry->length;
      const int number = to_descriptor(entry->name);
      if (number < 0 || number == list || is_kept(number, kept, count)) continue;
      bare_syscall(SYS_close, number);
    }
  }
  bare_syscall(SYS_close, list);
  return size == 0;
}

void close_each(const int* kept, std::size_t count) {
  rlimit limit = {MOST_DESCRIPTORS, MOST_DESCRIPTORS};
  bare_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, reinterpret_cast<long>(&limit));
  // The hard limit counts, because the soft limit may have been lowered after descriptors were
  // opened.
  const int end = static_cast<int>(std::min(limit.rlim_max, MOST_DESCRIPTORS));
  for (int number = 0; number < end; ++number) {
    if (!is_kept(number, kept, count)) bare_syscall(SYS_close, number);
  }
}

}  // namespace

void close_all_but(const int* kept, std::size_t count) {
  if (close_by_ranges(kept, count)) return;
  if (close_listed(kept, count)) return;  // for Linux before 5.9
  close_each(kept, count);  // where /proc is missing or no descriptor is left to read it
}

}  // namespace vmtpy::linux
