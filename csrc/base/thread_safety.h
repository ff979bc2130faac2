// Annotations that say which lock guards what, checked by clang (-Wthread-safety, .ci/tidy). A
// member that is GUARDED_BY(mutex_) is used only while that mutex is held, and a function that
// REQUIRES(mutex_) is called only while it is held. gcc sees empty macros. clang knows nothing of
// the standard library's mutex, so Mutex and MutexLock stand in for it. Both can be given to
// condition variables and to Clock::wait_until().
#pragma once

#include <mutex>

#ifdef __clang__
#define VMTPY_ATTRIBUTE(...) __attribute__((__VA_ARGS__))
#else
#define VMTPY_ATTRIBUTE(...)
#endif

#define CAPABILITY(name) VMTPY_ATTRIBUTE(capability(name))
#define SCOPED_CAPABILITY VMTPY_ATTRIBUTE(scoped_lockable)
#define GUARDED_BY(...) VMTPY_ATTRIBUTE(guarded_by(__VA_ARGS__))
#define REQUIRES(...) VMTPY_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) VMTPY_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) VMTPY_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define RELEASE(...) VMTPY_ATTRIBUTE(release_capability(__VA_ARGS__))

namespace vmtpy {

// A std::mutex that clang can check. It is owned by the object whose members it guards.
class CAPABILITY("mutex") Mutex : public std::mutex {
 public:
  void lock() ACQUIRE() { std::mutex::lock(); }
  void unlock() RELEASE() { std::mutex::unlock(); }
};

// Holds a Mutex until its scope ends or unlock() is called. It belongs to one scope of one thread.
class SCOPED_CAPABILITY MutexLock : public std::unique_lock<std::mutex> {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : std::unique_lock<std::mutex>(mutex) {}
  ~MutexLock() RELEASE() {}
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  void lock() ACQUIRE() { std::unique_lock<std::mutex>::lock(); }
  void unlock() RELEASE() { std::unique_lock<std::mutex>::unlock(); }
};

}  // namespace vmtpy
