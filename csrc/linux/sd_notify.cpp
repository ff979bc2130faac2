// Sends sd_notify(3) messages as datagrams, without libsystemd. It relies on a socket that never
// blocks.
#include "linux/sd_notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <utility>

namespace vmtpy::linux {

SdNotify::SdNotify(SdNotifyOptions options) : options_(std::move(options)) {
  if (options_.socket.size() < 2 || options_.socket.size() >= sizeof(sockaddr_un::sun_path)) return;
  if (options_.socket[0] != '/' && options_.socket[0] != '@') return;
  socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

void SdNotify::ready() {
  if (!ready_) ready_ = send("READY=1");
}

void SdNotify::stopping() {
  if (!std::exchange(stopping_, true)) send("STOPPING=1");
}

void SdNotify::status(std::string_view text) {
  if (text == status_) return;
  status_ = text;
  send("STATUS=" + status_);
}

Time SdNotify::feed(Time now) {
  if (!socket_ || options_.watchdog <= Duration::zero()) return Time::max();
  // sd_watchdog_enabled(3) recommends half of the time.
  const Duration period = options_.watchdog / 2;
  if (fed_ == Time{} || now - fed_ >= period) {
    send("WATCHDOG=1");
    fed_ = now;
  }
  return fed_ + period;
}

// The socket is addressed anew each time, because the service manager may have made its socket
// again.
bool SdNotify::send(std::string_view state) {
  if (!socket_) return false;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, options_.socket.data(), options_.socket.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const auto length =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + options_.socket.size());
  const auto* target = reinterpret_cast<const sockaddr*>(&address);
  return ::sendto(socket_.get(), state.data(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL, target,
                  length) >= 0;
}

}  // namespace vmtpy::linux
