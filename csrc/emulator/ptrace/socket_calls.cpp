// Answers each call by its number, on a copy of the program's socket. It relies on StoppedCall for
// the program's memory and descriptors.
#include "emulator/ptrace/socket_calls.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/errors.h"
#include "emulator/ptrace/seccomp_filter.h"
#include "emulator/ptrace/stopped_call.h"
#include "emulator/server_thread.h"
#include "wire/wire.h"

namespace vmtpy::emulator {

namespace {

constexpr std::uint32_t LOCAL_CID = 3;  // the context id of the machine that the programs see
constexpr std::uint32_t FIRST_PORT = 49152;
constexpr int SOCK_TYPE = 0xF;  // the kernel's SOCK_TYPE_MASK; the other bits are flags

bool is_host(std::uint32_t cid) {
  return cid == VMADDR_CID_HYPERVISOR || cid == VMADDR_CID_HOST;
}

int family(int socket) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &value, &size);
  return value;
}

bool is_connected(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  return getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
}

std::uint32_t local_port(int socket) {
  sockaddr_vm address{};
  socklen_t size = sizeof address;
  const bool known = getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
                     address.svm_family == AF_VSOCK;
  return known ? address.svm_port : VMADDR_PORT_ANY;
}

bool waits(int socket) {
  return (fcntl(socket, F_GETFL) & O_NONBLOCK) == 0;
}

sockaddr_vm vsock_address(std::uint32_t cid, std::uint32_t port) {
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = cid;
  address.svm_port = port;
  return address;
}

}  // namespace

SocketCalls::SocketCalls(UniqueFd listener, std::string base, const VsockPairs& pairs)
    : listener_(std::move(listener)),
      base_(std::move(base)),
      pairs_(pairs),
      bell_(eventfd(0, EFD_CLOEXEC)),
      next_port_(FIRST_PORT) {
  if (!bell_) throw SystemError("eventfd", "", errno);
  thread_ = start_server_thread([this] { run(); });
}

SocketCalls::~SocketCalls() {
  const std::uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(bell_.get(), &one, sizeof one);
  thread_.join();
}

void SocketCalls::run() {
  while (true) {
    pollfd watched[] = {{bell_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    if (poll(watched, 2, -1) < 0) continue;
    if (watched[0].revents != 0) return;
    if ((watched[1].revents & POLLIN) != 0) {
      answer();
    } else if (watched[1].revents != 0) {
      return;  // no process with the filter is left
    }
  }
}

void SocketCalls::answer() {
  seccomp_notif call{};
  // This fails if the program was killed meanwhile.
  if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) return;
  const Verdict verdict = decide(call);
  seccomp_notif_resp reply{};
  reply.id = call.id;
  if (verdict.proceed) {
    reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else if (verdict.value < 0) {
    reply.error = static_cast<std::int32_t>(verdict.value);
  } else {
    reply.val = verdict.value;
  }
  // This fails, too, if the program was killed meanwhile.
  ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

SocketCalls::Verdict SocketCalls::decide(const seccomp_notif& call) {
  if (call.data.arch != AUDIT_ARCH_X86_64) return socketcall(call);
  switch (call.data.nr) {
    case SYS_socket:
      return socket(call);
    case SYS_bind:
      return bind(call);
    case SYS_connect:
      return connect(call);
    case SYS_getsockname:
      return name(call, false);
    case SYS_getpeername:
      return name(call, true);
    case SYS_ioctl:
      return local_cid(call);
    default:
      return option(call);
  }
}

SocketCalls::Verdict SocketCalls::socket(const seccomp_notif& call) {
  const auto type = static_cast<int>(call.data.args[1]);
  // The kernel's loopback has streams only. open-vm-tools makes a datagram socket, which it does
  // not use, to see whether there is vsock.
  if (base_.empty() && (type & SOCK_TYPE) != SOCK_DGRAM) return proceed();
  const auto protocol = static_cast<int>(call.data.args[2]);
  if (protocol != 0 && protocol != AF_VSOCK) return {-EPROTONOSUPPORT};
  UniqueFd made(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!made) return {-errno};
  seccomp_notif_addfd add{};
  add.id = call.id;
  add.srcfd = static_cast<std::uint32_t>(made.get());
  add.newfd_flags = type & SOCK_CLOEXEC;
  int number = ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &add);
  return {number < 0 ? -errno : number};
}

SocketCalls::Verdict SocketCalls::bind(const seccomp_notif& call) {
  const StoppedCall guest(static_cast<pid_t>(call.pid));
  auto wanted = guest.address(call.data.args[1], call.data.args[2]);
  if (base_.empty() || !wanted) return proceed();
  UniqueFd socket = guest.socket(call.data.args[0]);
  if (!socket || family(socket.get()) != AF_UNIX) return proceed();
  if (wanted->svm_port == VMADDR_PORT_ANY) return {bind_to_any(socket.get())};
  if (wanted->svm_port <= wire::VSOCK_PRIVILEGED && !guest.may_bind_privileged()) return {-EACCES};
  // The names are those of one machine, so the same port twice is an address in use.
  const UnixName name = guest_name(wanted->svm_port, unique());
  return {::bind(socket.get(), name.get(), name.size) == 0 ? 0 : -errno};
}

SocketCalls::Verdict SocketCalls::connect(const seccomp_notif& call) {
  const StoppedCall guest(static_cast<pid_t>(call.pid));
  auto wanted = guest.address(call.data.args[1], call.data.args[2]);
  if (!wanted) return proceed();
  UniqueFd socket = guest.socket(call.data.args[0]);
  if (!socket) return {-EBADF};
  if (base_.empty()) {
    if (!is_host(wanted->svm_cid)) return proceed();
    if (!is_connected(socket.get()) && pairs_.held(local_port(socket.get()), wanted->svm_port)) {
      return {-ECONNRESET};
    }
    sockaddr_vm here = vsock_address(VMADDR_CID_LOCAL, wanted->svm_port);
    const auto* address = reinterpret_cast<const sockaddr*>(&here);
    return {::connect(socket.get(), address, sizeof here) == 0 ? 0 : -errno};
  }
  // A real vsock socket, inherited from outside, must not reach the host of this machine.
  if (family(socket.get()) == AF_VSOCK) return {-ENETUNREACH};
  if (family(socket.get()) != AF_UNIX) return proceed();
  if (!is_host(wanted->svm_cid)) return {-ENODEV};
  return connect_unix(socket.get(), wanted->svm_port);
}

SocketCalls::Verdict SocketCalls::connect_unix(int socket, std::uint32_t port) {
  auto own = name_of(socket, false);
  auto local = own ? guest_port(*own) : std::nullopt;
  if (!local) {
    if (int result = bind_to_any(socket); result < 0) return {result};
  } else if (!is_connected(socket) && pairs_.held(*local, port)) {
    return {-ECONNRESET};
  }
  auto there = host_name(base_, port);
  if (!there) return {-ECONNRESET};
  if (::connect(socket, there->get(), there->size) != 0) {
    // The kernel's vsock says ECONNRESET for both.
    return {errno == ECONNREFUSED || errno == ENOENT ? -ECONNRESET : -errno};
  }
  return {waits(socket) ? 0 : -EINPROGRESS};  // as with vsock; the socket is writable at once
}

int SocketCalls::bind_to_any(int socket) {
  for (int tries = 0; tries < 1000; ++tries) {
    const UnixName name = guest_name(next_port_++, unique());
    if (::bind(socket, name.get(), name.size) == 0) return 0;
    if (errno != EADDRINUSE) return -errno;
  }
  return -EADDRNOTAVAIL;
}

// Answers getsockname and getpeername of the sockets that stand in.
SocketCalls::Verdict SocketCalls::name(const seccomp_notif& call, bool peer) {
  if (base_.empty()) return proceed();
  const StoppedCall guest(static_cast<pid_t>(call.pid));
  UniqueFd socket = guest.socket(call.data.args[0]);
  auto own = socket ? name_of(socket.get(), false) : std::nullopt;
  auto port = own ? guest_port(*own) : std::nullopt;
  if (!port) return proceed();
  sockaddr_vm found = vsock_address(LOCAL_CID, *port);
  if (peer) {
    auto other = name_of(socket.get(), true);
    if (!other) return {-ENOTCONN};
    found = vsock_address(VMADDR_CID_HYPERVISOR, host_port(*other).value_or(0));
  }
  socklen_t room = 0;
  socklen_t size = sizeof found;
  if (!guest.read(call.data.args[2], &room, sizeof room)) return {-EFAULT};
  const bool written = guest.write(call.data.args[1], &found, std::min(room, size)) &&
                       guest.write(call.data.args[2], &size, sizeof size);
  return {written ? 0 : -EFAULT};
}

// Accepts buffer sizes and timeouts, and knows no option that can be asked for.
SocketCalls::Verdict SocketCalls::option(const seccomp_notif& call) const {
  if (base_.empty()) return proceed();
  const StoppedCall guest(static_cast<pid_t>(call.pid));
  UniqueFd socket = guest.socket(call.data.args[0]);
  if (!socket || family(socket.get()) != AF_UNIX) return proceed();
  return {call.data.nr == SYS_setsockopt ? 0 : -ENOPROTOOPT};
}

SocketCalls::Verdict SocketCalls::local_cid(const seccomp_notif& call) const {
  const StoppedCall guest(static_cast<pid_t>(call.pid));
  if (base_.empty() || guest.file(call.data.args[0]) != "/dev/vsock") return proceed();
  const std::uint32_t cid = LOCAL_CID;
  return {guest.write(call.data.args[2], &cid, sizeof cid) ? 0 : -EFAULT};
}

// Answers socket(2) of a 32-bit program.
SocketCalls::Verdict SocketCalls::socketcall(const seccomp_notif& call) {
  const StoppedCall guest(static_cast<pid_t>(call.pid));
  std::uint32_t family = 0;
  const bool vsock = guest.read(call.data.args[1], &family, sizeof family) && family == AF_VSOCK;
  return vsock ? Verdict{-EAFNOSUPPORT} : proceed();
}

std::string SocketCalls::unique() const {
  return process_word() + "-" + std::to_string(listener_.get());
}

}  // namespace vmtpy::emulator
