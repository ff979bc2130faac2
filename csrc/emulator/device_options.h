// What kind of host the Device is, and how it breaks the protocol. Plain data.
#pragma once

#include <cstdint>
#include <optional>

namespace vmtpy::emulator {

struct DeviceOptions {
  bool high_bandwidth = true;
  bool cookies = true;              // false: an old host that refuses OPEN with the cookie flag
  int checkpoint_every = 0;         // every n-th step of a transfer answers CHECKPOINT; 0: never
  bool message = true;              // false: like QEMU's vmport, GETVERSION without MESSAGE
  std::uint32_t product = 2;        // wire::ESX
  bool dirty_upper_halves = false;  // answers leave rubbish in bits 32..63 of the result registers
  bool secure = false;              // guestinfo may be set over privileged vsock only
};

// A host that breaks the protocol, at register level and at one step of the message channel.
struct Misbehaviour {
  std::uint16_t step = 0;  // wire::MessageStep; rep outsb is SENDPAYLOAD, rep insb RECVPAYLOAD
  int after = 0;           // so many of these steps go well first
  int times = 1;           // then so many go wrong; 0: all
  // Answered instead of doing the step. With CHECKPOINT in it the transfer begins again.
  std::optional<std::uint16_t> status;
  // The step is done, then these registers of the answer are replaced (LB only).
  std::optional<std::uint32_t> ebx;  // RECVSIZE: the size; RECVPAYLOAD: the bytes
  std::optional<std::uint16_t> edx_high;
};

}  // namespace vmtpy::emulator
