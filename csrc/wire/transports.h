// The ways to the host that there are, which of them a conversation uses, and why: the one place
// that decides. Conversations (wire/rpci.h, wire/tclo.h) share one of these, and with it what is
// known about vsock: an attempt that failed is not repeated for a while, by any of them.
// Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/thread_safety.h"
#include "wire/dialer.h"
#include "wire/meter.h"
#include "wire/wire.h"

namespace vmtpy::wire {

enum class Preference {
  AUTO,      // vsock where the host listens; the backdoor serves until then, and whenever it breaks
  SPARE,     // the backdoor; vsock where there is none, or for what only vsock is granted
  VSOCK,     // vsock alone
  BACKDOOR,  // the backdoor alone
};

// How a conversation's vsock connection stands.
enum class VsockState {
  ABSENT,      // no vsock is to be used
  DUE,         // an attempt may be made
  CONNECTING,  // one is under way
  OPEN,
  RESTING,  // the last one failed a short while ago
};

enum class Choice {
  BACKDOOR,
  VSOCK,
  WAIT,  // for vsock to connect: nothing else can serve
  NONE,  // nothing can serve now
};

// The whole decision; rendered in ARCHITECTURE.md.
Choice choose_transport(Preference preference, bool backdoor, VsockState vsock);
// Whether a conversation that stands so should connect over vsock in the background.
bool wants_vsock(Preference preference, bool backdoor);

struct TransportOptions {
  Preference preference = Preference::AUTO;
  std::string backdoor_name = "backdoor";       // for logs and status: "port", "vmcall"
  Duration connect = std::chrono::seconds(5);   // that connecting may take
  Duration rest_min = std::chrono::seconds(2);  // after a failure; doubles with each that follows
  Duration rest_max = std::chrono::minutes(5);
};

class Transports {
 public:
  explicit Transports(Backdoor& backdoor);  // that one alone
  Transports(Backdoor& backdoor, Dialer& dialer, Clock& clock, TransportOptions options = {});

  Backdoor& backdoor() const { return backdoor_; }  // one that knows nothing, if there is none
  Dialer* dialer() const { return dialer_; }        // nullptr: no vsock
  Clock& clock() const { return clock_; }
  const TransportOptions& options() const { return options_; }
  bool backdoor_serves() const;

  Choice choose(VsockState vsock) const;
  bool wants_vsock() const;

  // What is known about the host's vsock port for this protocol.
  bool may_dial(wire::Protocol protocol) const;
  Time dial_at(wire::Protocol protocol) const;  // when the next attempt may be made
  // While it is paused no attempt is made in the background: the first socket of a kind may have
  // the kernel load a module, which is nothing for the time in which something is frozen.
  void pause(bool paused) { paused_ = paused; }
  // A connection failed, or one broke that was through since `opened` (Time{}: never was).
  void failed(wire::Protocol protocol, const std::string& why, Time opened = {});
  void succeeded(wire::Protocol protocol);
  // A connection is open. For TCLO: the host is back, requests need not wait any longer either.
  void opened(wire::Protocol protocol);
  std::string trouble(wire::Protocol protocol) const;  // "" if there is none
  // For logs and status: "vsock" or the backdoor's name, and why that one.
  std::string name(bool vsock) const { return vsock ? "vsock" : options_.backdoor_name; }
  std::string reason(wire::Protocol protocol, bool vsock) const;

 private:
  struct Memory {
    Time rest_until{};
    Duration rest{};
    std::string trouble;
  };
  Memory& memory(wire::Protocol protocol) const REQUIRES(mutex_) {
    return memories_[protocol == wire::Protocol::TCLO ? 1 : 0];
  }

  Backdoor& backdoor_;
  Dialer* const dialer_;
  Clock& clock_;
  const TransportOptions options_;
  std::atomic<bool> paused_ = false;
  mutable Mutex mutex_;
  mutable std::array<Memory, 2> memories_ GUARDED_BY(mutex_);
};

}  // namespace vmtpy::wire
