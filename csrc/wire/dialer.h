// Connecting to the host's vsock ports, behind a seam: the channels above know descriptors only.
// The real one speaks AF_VSOCK; doubles/unix_dialer.h stands in for it on an AF_UNIX socket.
// Connecting never waits: a host that does not listen can keep a connection in the air for seconds.
#pragma once

#include <atomic>
#include <cstdint>

#include "wire/wire.h"

namespace vmtpy::wire {

class Dialer {
 public:
  virtual ~Dialer() = default;
  // Begins to connect to the host's `port`; from a local port below 1024 if `privileged`. Answers a
  // descriptor, non-blocking and not inherited by programs, or -errno: EACCES for a privileged port
  // that this process may not have. The connection may still be on its way.
  virtual int dial(std::uint32_t port, bool privileged) = 0;
  // How far it is: 0 through, -EINPROGRESS not yet (it will become writable), else -errno: failed.
  virtual int progress(int descriptor);
};

// AF_VSOCK. No two attempts of a process in a row are made from the same local port: the host may
// be slow to let go of the pair of ports of a connection that was closed, and refuses it meanwhile
// (ECONNRESET).
class VsockDialer final : public Dialer {
 public:
  explicit VsockDialer(std::uint32_t context = wire::VSOCK_HOST) : context_(context) {}
  int dial(std::uint32_t port, bool privileged) override;

 private:
  static inline std::atomic<std::uint32_t> dials_ = 0;  // of all dialers: they share the ports
  std::uint32_t context_;
};

}  // namespace vmtpy::wire
