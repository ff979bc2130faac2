// Connects AF_UNIX sockets whose names tell the ports. Relies on emulator/vsock/unix_name.h for the
// word of this process.
#include "doubles/unix_dialer.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "emulator/vsock/unix_name.h"

namespace vmtpy::doubles {

namespace {

// Fills in an address. Returns its size, or 0 for a name that is too long. "@" at the front means
// the abstract namespace.
socklen_t fill(sockaddr_un& address, const std::string& name) {
  address = {};
  address.sun_family = AF_UNIX;
  if (name.empty() || name.size() >= sizeof address.sun_path) return 0;
  std::memcpy(address.sun_path, name.data(), name.size());
  const bool abstract = name[0] == '@';
  if (abstract) address.sun_path[0] = '\0';
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + !abstract);
}

std::string local_name(std::uint32_t port) {
  static std::atomic<unsigned> serial = 0;
  return "@vmtpy-vsock-" + std::to_string(port) + "-" + emulator::process_word() + "-" +
         std::to_string(++serial);
}

int close_with(int descriptor, int error) {
  ::close(descriptor);
  return -error;
}

}  // namespace

int UnixDialer::dial(std::uint32_t port, bool privileged) {
  const int before = dials_++;
  if (privileged) ++privileged_dials_;
  if (const int error = due(false)) return -error;
  if (privileged && forbidden_) return -EACCES;
  const std::uint32_t local = privileged ? wire::VSOCK_PRIVILEGED - before % wire::VSOCK_PRIVILEGED
                                         : wire::VSOCK_PRIVILEGED + 1 + before;
  if (device_ && device_->vsock_pairs().held(local, port)) return -ECONNRESET;
  sockaddr_un here;
  sockaddr_un there;
  const socklen_t size = fill(here, local_name(local));
  const socklen_t there_size = fill(there, base_ + "." + std::to_string(port));
  if (there_size == 0) return -ENAMETOOLONG;
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return -errno;
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&here), size) != 0 ||
      ::connect(descriptor, reinterpret_cast<sockaddr*>(&there), there_size) != 0) {
    return close_with(descriptor, errno);
  }
  return descriptor;
}

int UnixDialer::progress(int descriptor) {
  if (const int error = due(true)) return -error;
  return held_ ? -EINPROGRESS : wire::Dialer::progress(descriptor);
}

void UnixDialer::fail(int error, int times, bool later) {
  MutexLock guard(mutex_);
  (later ? connecting_ : dialing_) = {error, times};
}

// Returns the error with which this attempt ends, 0 for none.
int UnixDialer::due(bool later) {
  MutexLock guard(mutex_);
  Failure& failure = later ? connecting_ : dialing_;
  const int error = failure.error;
  if (failure.left > 0 && --failure.left == 0) failure.error = 0;
  return error;
}

void UnixDialer::hold(bool held) {
  held_ = held;
}

void UnixDialer::forbid_privilege() {
  forbidden_ = true;
}

}  // namespace vmtpy::doubles
