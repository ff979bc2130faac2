// Descriptors that are closed together with their owner: UniqueFd for any descriptor, EventFd for
// an eventfd and what is done with it. They serve every floor and rely on close(2) and eventfd(2).
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/errors.h"

namespace vmtpy {

// Owned by the object or scope that holds it, and closed when that ends. It has no lock: one thread
// at a time uses it.
class UniqueFd {
 public:
  explicit UniqueFd(int descriptor = -1) : descriptor_(descriptor) {}
  UniqueFd(UniqueFd&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~UniqueFd() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }
  void reset() { *this = UniqueFd(); }  // closes the descriptor
  explicit operator bool() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

// Owned by the object that waits for it, and closed when that ends. Any thread may call raise() and
// drain(), and a signal handler may call raise().
class EventFd {
 public:
  EventFd() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!descriptor_) throw SystemError("eventfd", "", errno);
  }
  int get() const { return descriptor_.get(); }
  void raise() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(get(), &one, sizeof one);
  }
  // Returns true when the eventfd had been raised, and makes it quiet again.
  bool drain() const {
    std::uint64_t count = 0;
    return ::read(get(), &count, sizeof count) == sizeof count;
  }

 private:
  UniqueFd descriptor_;
};

}  // namespace vmtpy
