// Descriptors that are closed with their owner: any one, and an eventfd with what is done with it.
// Owned by whoever holds them; raise() and drain() may be called from any thread, raise() from a
// signal handler, too.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/errors.h"

namespace vmtpy {

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
  void reset() { *this = UniqueFd(); }  // closes it
  explicit operator bool() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

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
  // True when it had been raised.
  bool drain() const {
    std::uint64_t count = 0;
    return ::read(get(), &count, sizeof count) == sizeof count;
  }

 private:
  UniqueFd descriptor_;
};

}  // namespace vmtpy
