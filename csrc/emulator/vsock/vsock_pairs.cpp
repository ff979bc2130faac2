// A map from pairs of ports to the time when each is free again, under a lock. It relies on the
// Device's clock.
#include "emulator/vsock/vsock_pairs.h"

namespace vmtpy::emulator {

void VsockPairs::opened(std::uint32_t guest_port, std::uint32_t host_port) {
  MutexLock guard(mutex_);
  free_at_[{guest_port, host_port}] = Time::max();
}

void VsockPairs::ended(std::uint32_t guest_port, std::uint32_t host_port) {
  const Time now = clock_.now();
  MutexLock guard(mutex_);
  std::erase_if(free_at_, [now](const auto& pair) { return pair.second <= now; });
  free_at_[{guest_port, host_port}] = now + SLOW;
}

bool VsockPairs::held(std::uint32_t guest_port, std::uint32_t host_port) const {
  const Time now = clock_.now();
  MutexLock guard(mutex_);
  const auto pair = free_at_.find({guest_port, host_port});
  return pair != free_at_.end() && now < pair->second;
}

}  // namespace vmtpy::emulator
