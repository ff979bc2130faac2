// What kind of host the Device is, and how it breaks the protocol. This is plain data for tests and
// `vmtpy emulate`.
#pragma once

#include <cstdint>
#include <optional>

namespace vmtpy::emulator {

struct DeviceOptions {
  bool high_bandwidth = true;
  bool cookies = true;       // false for an old host that refuses OPEN with the cookie flag
  int checkpoint_every = 0;  // every n-th step of a transfer answers CHECKPOINT; 0 for never
  bool message = true;  // false for a host like QEMU's vmport, which has GETVERSION but no MESSAGE
  std::uint32_t product = 2;  // wire::ESX
  // True if answers leave rubbish in bits 32..63 of the result registers.
  bool dirty_upper_halves = false;
  bool secure = false;  // true if guestinfo may be set over privileged vsock only
};

// How a host breaks the protocol, at register level and at one step of the message channel.
struct Misbehaviour {
  // A wire::MessageStep. rep outsb counts as SENDPAYLOAD, and rep insb as RECVPAYLOAD.
  std::uint16_t step = 0;
  int after = 0;  // the number of these steps that go well first
  int times = 1;  // the number of steps that go wrong then; 0 for all
  // This status is answered and the step is not done. With CHECKPOINT in it the transfer begins
  // again.
  std::optional<std::uint16_t> status;
  // The step is done, and then these registers of the answer are replaced (low bandwidth only).
  std::optional<std::uint32_t> ebx;  // RECVSIZE: the size; RECVPAYLOAD: the bytes
  std::optional<std::uint16_t> edx_high;
};

}  // namespace vmtpy::emulator
