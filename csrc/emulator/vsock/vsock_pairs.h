// The pairs of ports (the guest's and the host's) that the emulated host holds. A VMX is slow to
// release the pair of a connection that has ended: another connection from the same guest's port to
// the same host's port is reset meanwhile. emulator/vsock/vsock_server.h reports the pairs;
// emulator/ptrace/socket_calls.h and doubles/unix_dialer.h, which lead guests there, ask for them.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/thread_safety.h"

namespace vmtpy::emulator {

// Owned by the Device and as long-lived. It has its own lock, so any thread may call it.
class VsockPairs {
 public:
  // How long a pair is held after the connection's end.
  static constexpr Duration SLOW = std::chrono::milliseconds(50);

  explicit VsockPairs(Clock& clock) : clock_(clock) {}
  void opened(std::uint32_t guest_port, std::uint32_t host_port);
  void ended(std::uint32_t guest_port, std::uint32_t host_port);
  bool held(std::uint32_t guest_port, std::uint32_t host_port) const;

 private:
  Clock& clock_;
  mutable Mutex mutex_;
  // When each pair is free again, Time::max() while it is connected.
  std::map<std::pair<std::uint32_t, std::uint32_t>, Time> free_at_ GUARDED_BY(mutex_);
};

}  // namespace vmtpy::emulator
