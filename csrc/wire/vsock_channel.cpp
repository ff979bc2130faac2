// Connecting, sending and receiving on a vsock socket. The waits here go by the machine's clock;
// Transports' clock counts the time to connect in the background.
#include "wire/vsock_channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>

#include "wire/meter.h"

namespace vmtpy::wire {

namespace {

// The host may still hold the pair of ports of a connection that was closed, and then resets the
// new one. So this many local ports are tried, each lower than the one before.
constexpr int PORTS_TRIED = 8;
// The kernel or the host was short of buffers for a moment, or a signal came in between.
constexpr int MOST_RETRIES = 5;
constexpr timespec SHORTAGE{.tv_sec = 0, .tv_nsec = 1'000'000};
constexpr int MOST_READS = 16;  // the most reads before the caller's timers have their turn
constexpr std::size_t READ_SIZE = 16384;
// A virtual machine that stood still finds its deadline over before it has looked at what arrived,
// so it gets this time for a last look.
constexpr Duration LAST_LOOK = std::chrono::milliseconds(100);

std::uint32_t port_of(wire::Protocol protocol) {
  return protocol == wire::Protocol::TCLO ? wire::VSOCK_TCLO : wire::VSOCK_RPCI;
}

std::string seconds(Duration duration) {
  const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count() / 100;
  std::string text = std::to_string(tenths / 10);
  if (tenths % 10 != 0) text += "." + std::to_string(tenths % 10);
  return text + " s";
}

// Says why there is no connection.
std::string explain(int error, std::uint32_t port, Duration limit) {
  const std::string where = "the host's vsock port " + std::to_string(port);
  switch (error) {
    case EAFNOSUPPORT:
      return "this kernel has no vsock (the module vmw_vsock_vmci_transport is missing)";
    case ENODEV:
    case EADDRNOTAVAIL:
      return "vsock has no way to the host (the module vmw_vsock_vmci_transport is missing)";
    case ECONNRESET:
    case ECONNREFUSED:
      return "nobody listens at " + where;
    case ETIMEDOUT:
      return where + " did not answer within " + seconds(limit);
    default:
      return where + " cannot be reached: " + std::generic_category().message(error);
  }
}

Time now() {
  // Waits for another machine go by this clock, which no test turns.
  return std::chrono::steady_clock::now();
}

}  // namespace

VsockChannel::VsockChannel(std::shared_ptr<Transports> transports, wire::Protocol protocol,
                           ChannelOptions options)
    : Channel(transports->backdoor()),
      transports_(std::move(transports)),
      protocol_(protocol),
      options_(options),
      decoder_(options.max_receive) {}

VsockChannel::~VsockChannel() {
  close();
}

// --- connecting --------------------------------------------------------------------------------

VsockState VsockChannel::advance() {
  MutexLock lock(mutex_);
  if (open_) return VsockState::OPEN;
  if (transports_->dialer() == nullptr) return VsockState::ABSENT;
  if (!descriptor_) {
    if (!transports_->wants_vsock()) return VsockState::ABSENT;
    begin_connecting();
    if (!transports_->may_dial(protocol_) || !dial()) return VsockState::RESTING;
  }
  return take_step();
}

void VsockChannel::begin_connecting() {
  resets_ = 0;
  retries_ = 0;
  connect_by_ = transports_->clock().now() + transports_->options().connect;
}

bool VsockChannel::dial() {
  Dialer& dialer = *transports_->dialer();
  const std::uint32_t port = port_of(protocol_);
  for (;;) {
    privileged_ = true;
    int dialed = dialer.dial(port, true);
    if (dialed == -EACCES) {  // the process is an ordinary user's
      privileged_ = false;
      dialed = dialer.dial(port, false);
    }
    if (dialed >= 0) {
      descriptor_ = UniqueFd(dialed);
      break;
    }
    if (worth_another(-dialed)) continue;
    give_up(-dialed);
    return false;
  }
  own();
  return true;
}

// Says whether an attempt that ended with `error` is followed by another at once.
bool VsockChannel::worth_another(int error) {
  if (error == ECONNRESET) return ++resets_ < PORTS_TRIED;
  if (error != ENOBUFS && error != EINTR) return false;
  if (++retries_ > MOST_RETRIES) return false;
  if (error == ENOBUFS) ::nanosleep(&SHORTAGE, nullptr);
  return true;
}

VsockState VsockChannel::take_step() {
  for (;;) {
    const int error = transports_->dialer()->progress(descriptor_.get());
    if (error == 0) {
      open_ = true;
      opened_at_ = transports_->clock().now();
      transports_->opened(protocol_);
      count(backdoor_, &Meter::opens);
      return VsockState::OPEN;
    }
    if (error == -EINPROGRESS) {
      if (transports_->clock().now() < connect_by_) return VsockState::CONNECTING;
      return give_up(ETIMEDOUT);
    }
    if (!worth_another(-error)) return give_up(-error);
    close_locked();
    if (!dial()) return VsockState::RESTING;
  }
}

VsockState VsockChannel::give_up(int error) {
  const std::string why = explain(error, port_of(protocol_), transports_->options().connect);
  close_locked();
  transports_->failed(protocol_, why);
  return VsockState::RESTING;
}

// Waits for the connection, even soon after a failure, because the caller has no other way.
void VsockChannel::connect() {
  if (transports_->dialer() == nullptr) throw ChannelError("this channel may not use vsock");
  VsockState state = VsockState::CONNECTING;
  if (!descriptor_) {
    begin_connecting();
    if (!dial()) state = VsockState::RESTING;
  }
  const Time deadline = now() + std::min(patience_, transports_->options().connect);
  while (state == VsockState::CONNECTING) {
    state = take_step();
    if (state != VsockState::CONNECTING) break;
    if (now() >= deadline || !await(POLLOUT, deadline)) state = give_up(ETIMEDOUT);
  }
  if (state != VsockState::OPEN) throw ChannelError(transports_->trouble(protocol_));
}

// shutdown() ends the connection although a child (a guardian, a hook that is just being started)
// may hold a copy of the descriptor.
void VsockChannel::disconnect() noexcept {
  if (descriptor_) ::shutdown(descriptor_.get(), SHUT_RDWR);
  descriptor_.reset();
  decoder_ = PacketDecoder(options_.max_receive);
}

void VsockChannel::broke(const char* why) {
  if (open_) transports_->failed(protocol_, why, opened_at_);
}

// --- the conversation --------------------------------------------------------------------------

bool VsockChannel::ready() const {
  if (!descriptor_) return false;
  pollfd watched{descriptor_.get(), static_cast<short>(open_ ? POLLIN : POLLOUT), 0};
  return ::poll(&watched, 1, 0) > 0;
}

void VsockChannel::ping() {
  guarded([&] { send_packet({.type = wire::PacketType::PING, .payload = "", .close = false}); });
}

void VsockChannel::write(std::string_view message, bool last) {
  // A left-over message would be taken for the reply to the next request.
  if (protocol_ == wire::Protocol::RPCI && open_ && read()) {
    throw ChannelError("the host sent a reply that nobody had asked for");
  }
  send_packet({.type = wire::PacketType::DATA, .payload = std::string(message), .close = last});
}

void VsockChannel::send_packet(const Packet& packet) {
  const std::string bytes = encode_packet(packet);
  if (!open_) throw ChannelError("the channel is not open");
  const Time deadline = now() + patience_;
  for (std::string_view left = bytes; !left.empty();) {
    const ssize_t sent =
        ::send(descriptor_.get(), left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      left.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      if (!await(POLLOUT, deadline)) {
        throw ChannelError("the host takes nothing more from its vsock connection");
      }
    } else if (errno != EINTR) {
      throw ChannelError(std::string("the vsock connection broke: ") +
                         std::generic_category().message(errno));
    }
  }
}

// Returns a message that has arrived, and never waits.
std::optional<std::string> VsockChannel::read() {
  if (!open_) throw ChannelError("the channel is not open");
  for (int reads = 0; reads <= MOST_READS; ++reads) {
    while (std::optional<Packet> packet = decoder_.take()) {
      transports_->succeeded(protocol_);
      if (packet->type == wire::PacketType::DATA) return std::move(packet->payload);
    }
    if (reads == MOST_READS || !fill()) break;
  }
  return std::nullopt;
}

std::optional<std::string> VsockChannel::read_reply() {
  const Time deadline = now() + patience_;
  for (bool last = false;; last = now() >= deadline) {
    if (std::optional<std::string> reply = read()) return reply;
    if (last || !await(POLLIN, deadline)) {
      throw ChannelError("no reply over vsock within " + seconds(patience_));
    }
  }
}

// Waits for `events` on the socket. Returns false when the deadline has passed without them.
bool VsockChannel::await(short events, Time deadline) const {
  for (;;) {
    const Duration left = std::max(Duration(deadline - now()), LAST_LOOK);
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    pollfd watched{descriptor_.get(), events, 0};
    const int ready = ::poll(&watched, 1, static_cast<int>(milliseconds));
    if (ready > 0) return true;
    if (ready == 0 && now() >= deadline) return false;
  }
}

// Returns true when there was something to read.
bool VsockChannel::fill() {
  char bytes[READ_SIZE];
  for (;;) {
    const ssize_t size = ::recv(descriptor_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (size > 0) {
      decoder_.feed(std::string_view(bytes, static_cast<std::size_t>(size)));
      return true;
    }
    if (size == 0) {
      throw ChannelError(decoder_.in_the_middle()
                             ? "the host closed the vsock connection in the middle of a packet"
                             : "the host closed the vsock connection");
    }
    if (errno == EAGAIN) return false;
    if (errno != EINTR) {
      throw ChannelError(std::string("the vsock connection broke: ") +
                         std::generic_category().message(errno));
    }
  }
}

}  // namespace vmtpy::wire
