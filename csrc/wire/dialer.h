// The seam for connections to the host's vsock ports. It serves the channels, which know
// descriptors only. The real dialer speaks AF_VSOCK; doubles/unix_dialer.h stands in for it on an
// AF_UNIX socket. Connecting never waits, because a host that does not listen can leave a
// connection undecided for seconds.
#pragma once

#include <atomic>
#include <cstdint>

#include "wire/wire.h"

namespace vmtpy::wire {

// Owned by whoever makes the Transports, and outlives them. Any thread may call it.
class Dialer {
 public:
  virtual ~Dialer() = default;
  // Begins to connect to the host's `port`, from a local port below 1024 if `privileged`. Returns a
  // descriptor that is non-blocking and not inherited by programs, while the connection may not be
  // there yet. Returns -errno on failure: EACCES for a privileged port that this process may not
  // have.
  virtual int dial(std::uint32_t port, bool privileged) = 0;
  // Says how far a connection is: 0 when it is there, -EINPROGRESS while it is not (the descriptor
  // will become writable), another -errno when it has failed.
  virtual int progress(int descriptor);
};

// The dialer for AF_VSOCK. Two attempts of a process in a row never use the same local port: the
// host may keep the pair of ports of a closed connection for a while, and refuses a new connection
// from there meanwhile (ECONNRESET).
class VsockDialer final : public Dialer {
 public:
  explicit VsockDialer(std::uint32_t context = wire::VSOCK_HOST) : context_(context) {}
  int dial(std::uint32_t port, bool privileged) override;

 private:
  // This counts for all dialers, because they share the ports.
  static inline std::atomic<std::uint32_t> dials_ = 0;
  std::uint32_t context_;
};

}  // namespace vmtpy::wire
