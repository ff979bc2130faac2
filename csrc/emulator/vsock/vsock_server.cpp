// Listening, accepting, reading and writing. It relies on AF_VSOCK, or on AF_UNIX names in its
// place, and on poll(2).
#include "emulator/vsock/vsock_server.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <utility>

#include "base/errors.h"
#include "emulator/server_thread.h"
#include "emulator/vsock/unix_name.h"
#include "wire/vsock_address.h"

namespace vmtpy::emulator {

namespace {

constexpr int BACKLOG = 1024;
// Further connections wait in the backlog.
constexpr std::size_t MOST_CONNECTIONS = wire::MAX_CHANNELS;
constexpr std::size_t CHUNK = 16UL * 1024;
// The time between two bytes, and between two looks whether a stun is over.
constexpr int SLOW_MS = 1;

// Returns the port from which a connection comes. An unknown port counts as unprivileged.
std::uint32_t peer_port(int socket) {
  if (auto name = name_of(socket, true)) return guest_port(*name).value_or(VMADDR_PORT_ANY);
  sockaddr_vm address{};
  socklen_t size = sizeof address;
  const bool known = getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
                     address.svm_family == AF_VSOCK;
  return known ? address.svm_port : VMADDR_PORT_ANY;
}

}  // namespace

VsockServer::Connection::Connection(VsockServer& server, UniqueFd accepted, std::uint32_t port,
                                    std::uint32_t from)
    : socket(std::move(accepted)),
      pairs(server.device_->vsock_pairs()),
      guest_port(from),
      conversation(*server.device_, server.faults, server.counts, port,
                   from <= wire::VSOCK_PRIVILEGED) {
  pairs.opened(guest_port, port);
}

VsockServer::Connection::~Connection() {
  pairs.ended(guest_port, conversation.port());
}

VsockServer::VsockServer(std::shared_ptr<Device> device, std::string base, bool tclo)
    : device_(std::move(device)),
      base_(std::move(base)),
      tclo_(tclo),
      bell_(eventfd(0, EFD_CLOEXEC)) {
  if (!bell_) throw SystemError("eventfd", "", errno);
  listen();
  thread_ = start_server_thread([this] { run(); });
}

VsockServer::~VsockServer() {
  {
    MutexLock guard(mutex_);
    ending_ = true;
  }
  ring();
  thread_.join();
  connections_.clear();
  stop_listening();
}

void VsockServer::call(const std::function<void()>& body) {
  std::exception_ptr failure;
  MutexLock lock(mutex_);
  tasks_.emplace_back([&body, &failure] {
    try {
      body();
    } catch (...) {
      failure = std::current_exception();
    }
  });
  const std::uint64_t number = ++asked_;
  ring();
  done_.wait(lock, [this, number]() REQUIRES(mutex_) { return finished_ >= number; });
  if (failure) std::rethrow_exception(failure);
}

void VsockServer::listen() {
  if (!listeners_.empty()) return;
  std::vector<Listener> made;
  for (const std::uint32_t port : {wire::VSOCK_RPCI, wire::VSOCK_TCLO}) {
    if (port == wire::VSOCK_TCLO && !tclo_) continue;
    made.push_back({port, listen_on(port)});
  }
  listeners_ = std::move(made);
}

UniqueFd VsockServer::listen_on(std::uint32_t port) const {
  sockaddr_vm any{};
  any.svm_family = AF_VSOCK;
  any.svm_cid = VMADDR_CID_ANY;
  any.svm_port = port;
  const auto* address = reinterpret_cast<const sockaddr*>(&any);
  socklen_t size = sizeof any;
  std::string text = "AF_VSOCK port " + std::to_string(port);
  auto name = host_name(base_, port);
  if (!base_.empty()) {
    text = base_ + "." + std::to_string(port);
    if (!name) throw SystemError("bind", text, ENAMETOOLONG);
    address = name->get();
    size = name->size;
  }
  constexpr int TYPE = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  UniqueFd socket(::socket(base_.empty() ? AF_VSOCK : AF_UNIX, TYPE, 0));
  if (!socket) throw SystemError("socket", text, errno);
  if (::bind(socket.get(), address, size) != 0) throw SystemError("bind", text, errno);
  if (::listen(socket.get(), BACKLOG) != 0) throw SystemError("listen", text, errno);
  return socket;
}

void VsockServer::stop_listening() {
  for (const Listener& listener : listeners_) {
    if (base_.empty() || base_[0] == '@') break;
    ::unlink((base_ + "." + std::to_string(listener.port)).c_str());
  }
  listeners_.clear();
}

void VsockServer::send_raw(std::uint32_t port, const std::string& bytes) {
  for (Connection& connection : connections_) {
    if (connection.conversation.port() == port) connection.conversation.send_raw(bytes);
  }
}

void VsockServer::run() {
  while (true) {
    std::vector<pollfd> sockets = watched();
    if (poll(sockets.data(), sockets.size(), timeout()) < 0) continue;  // EINTR
    run_tasks();
    {
      MutexLock guard(mutex_);
      if (ending_) return;
    }
    for (Connection& connection : connections_) {
      short events = 0;
      for (const pollfd& socket : sockets) {
        if (socket.fd == connection.socket.get()) events = socket.revents;
      }
      serve(connection, events);
    }
    connections_.remove_if([](const Connection& connection) {
      return connection.broken ||
             (connection.conversation.over() && connection.conversation.outgoing().empty());
    });
    for (const Listener& listener : listeners_) accept_from(listener);
  }
}

std::vector<pollfd> VsockServer::watched() const {
  std::vector<pollfd> sockets{{bell_.get(), POLLIN, 0}};
  if (connections_.size() < MOST_CONNECTIONS) {
    for (const Listener& listener : listeners_)
      sockets.push_back({listener.socket.get(), POLLIN, 0});
  }
  for (const Connection& connection : connections_) {
    const VsockConversation& conversation = connection.conversation;
    if (conversation.held()) continue;
    short events = 0;
    if (conversation.wants_more()) events |= POLLIN;
    if (!conversation.outgoing().empty() && !conversation.slow()) events |= POLLOUT;
    sockets.push_back({connection.socket.get(), events, 0});
  }
  return sockets;
}

int VsockServer::timeout() const {
  for (const Connection& connection : connections_) {
    if (connection.conversation.slow() || connection.conversation.held()) return SLOW_MS;
  }
  return -1;
}

void VsockServer::ring() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(bell_.get(), &one, sizeof one);
}

void VsockServer::run_tasks() {
  MutexLock lock(mutex_);
  pollfd bell{bell_.get(), POLLIN, 0};
  std::uint64_t rings = 0;
  if (poll(&bell, 1, 0) > 0) [[maybe_unused]]
    ssize_t got = ::read(bell.fd, &rings, sizeof rings);
  std::vector<std::function<void()>> tasks = std::exchange(tasks_, {});
  lock.unlock();
  for (const auto& task : tasks) task();
  lock.lock();
  finished_ += tasks.size();
  done_.notify_all();
}

void VsockServer::accept_from(const Listener& listener) {
  while (connections_.size() < MOST_CONNECTIONS) {
    UniqueFd socket(accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    ++counts.connections;
    if (faults.due(listener.port, true)) continue;
    const std::uint32_t from = peer_port(socket.get());
    Connection& added = connections_.emplace_back(*this, std::move(socket), listener.port, from);
    added.conversation.begin([this] { ring(); });
  }
}

void VsockServer::serve(Connection& connection, short events) {
  VsockConversation& conversation = connection.conversation;
  if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && conversation.wants_more()) {
    read_from(connection);
  } else if ((events & POLLERR) != 0) {
    connection.broken = true;
  }
  conversation.proceed();
  if (!conversation.outgoing().empty()) write_to(connection);
}

void VsockServer::read_from(Connection& connection) {
  char chunk[CHUNK];
  const ssize_t got = ::recv(connection.socket.get(), chunk, sizeof chunk, 0);
  if (got > 0) {
    connection.conversation.receive({chunk, static_cast<std::size_t>(got)});
  } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
    connection.broken = true;
  }
}

void VsockServer::write_to(Connection& connection) {
  std::string_view bytes = connection.conversation.outgoing();
  if (connection.conversation.slow()) bytes = bytes.substr(0, 1);
  const ssize_t put = ::send(connection.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (put > 0) {
    connection.conversation.sent(static_cast<std::size_t>(put));
  } else if (errno != EAGAIN && errno != EINTR) {
    connection.broken = true;
  }
}

}  // namespace vmtpy::emulator
