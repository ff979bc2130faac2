// Opens AF_VSOCK sockets. Relies on the kernel's vsock and on the header order of
// wire/vsock_address.h.
#include "wire/dialer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "wire/vsock_address.h"

namespace vmtpy::wire {

namespace {

int close_with(int descriptor, int error) {
  ::close(descriptor);
  return -error;
}

int bind_to(int descriptor, std::uint32_t port) {
  sockaddr_vm address = {};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  address.svm_port = port;
  return ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

}  // namespace

int Dialer::progress(int descriptor) {
  pollfd watched{descriptor, POLLOUT, 0};
  if (::poll(&watched, 1, 0) <= 0) return -EINPROGRESS;
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return -errno;
  if (error != 0) return -error;
  return (watched.revents & POLLOUT) != 0 ? 0 : -ECONNRESET;
}

int VsockDialer::dial(std::uint32_t port, bool privileged) {
  const int descriptor = ::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return -errno;
  if (privileged) {
    int error = EADDRINUSE;
    for (std::uint32_t tries = 0; error == EADDRINUSE && tries < wire::VSOCK_PRIVILEGED; ++tries) {
      error = bind_to(descriptor, wire::VSOCK_PRIVILEGED - dials_++ % wire::VSOCK_PRIVILEGED);
    }
    // The kernel requires CAP_NET_BIND_SERVICE, and a security module may forbid the port, too.
    if (error == EPERM) error = EACCES;
    if (error != 0) return close_with(descriptor, error);
  }
  sockaddr_vm address = {};
  address.svm_family = AF_VSOCK;
  address.svm_cid = context_;
  address.svm_port = port;
  while (::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    // After an EINTR the next call says EALREADY or EISCONN.
    if (errno == EINPROGRESS || errno == EALREADY || errno == EISCONN) break;
    if (errno != EINTR) return close_with(descriptor, errno);
  }
  return descriptor;
}

}  // namespace vmtpy::wire
