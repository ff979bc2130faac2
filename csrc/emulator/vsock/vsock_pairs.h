// The pairs of ports (the guest's and the host's) that the emulated host holds. A VMX is slow to
// let go of the pair of a connection that has ended: from the same guest's port another connection
// to the same host's port is reset meanwhile. Told by emulator/vsock/vsock_server.h, asked by those
// who lead guests there (emulator/ptrace/socket_calls.h, doubles/unix_dialer.h). Owned by the
// Device. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/thread_safety.h"

namespace vmtpy::emulator {

class VsockPairs {
 public:
  static constexpr Duration SLOW = std::chrono::milliseconds(50);  // after the connection's end

  explicit VsockPairs(Clock& clock) : clock_(clock) {}
  void opened(std::uint32_t guest_port, std::uint32_t host_port);
  void ended(std::uint32_t guest_port, std::uint32_t host_port);
  bool held(std::uint32_t guest_port, std::uint32_t host_port) const;

 private:
  Clock& clock_;
  mutable Mutex mutex_;
  // Time::max(): connected
  std::map<std::pair<std::uint32_t, std::uint32_t>, Time> free_at_ GUARDED_BY(mutex_);
};

}  // namespace vmtpy::emulator
