// Sends each message as one packet of SOCK_SEQPACKET, whole or not at all. It relies on the reader
// to listen before the program starts.
#include "wire/recorder.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "base/errors.h"

namespace vmtpy::wire {

namespace {

constexpr int MOMENT = 100;  // in milliseconds

}  // namespace

Recorder::Recorder(const std::string& name)
    : socket_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof address.sun_path) throw SystemError("connect", name, ENAMETOOLONG);
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (socket_.get() < 0 ||
      connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) {
    throw SystemError("connect", name, errno);
  }
}

void Recorder::add(RecordedKind kind, RecordedTransport transport, std::string_view request,
                   std::string_view reply) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  RecordedHead head{kind, transport,
                    std::chrono::duration_cast<std::chrono::nanoseconds>(now).count(),
                    static_cast<std::uint32_t>(request.size()), lost_};
  iovec parts[] = {{&head, sizeof head},
                   {const_cast<char*>(request.data()), request.size()},
                   {const_cast<char*>(reply.data()), reply.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = std::size(parts);
  if (!send(message)) ++lost_;
}

bool Recorder::send(const msghdr& message) {
  bool sent = sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  if (!sent && errno == EAGAIN && !stands_still_) {
    pollfd room{socket_.get(), POLLOUT, 0};
    poll(&room, 1, MOMENT);
    sent = sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  }
  stands_still_ = !sent;
  return sent;
}

}  // namespace vmtpy::wire
