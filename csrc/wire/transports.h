// The ways to the host, and the only place that decides which of them a conversation uses and why.
// It serves Rpci and Tclo, which share one object and with it what is known about vsock: an attempt
// that failed is not repeated for a while by any of them.
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
  AUTO,      // vsock where the host listens; until then, and whenever vsock breaks, the backdoor
  SPARE,     // the backdoor; vsock where there is none, and for what only vsock is granted
  VSOCK,     // vsock alone
  BACKDOOR,  // the backdoor alone
};

// How a conversation's vsock connection stands.
enum class VsockState {
  ABSENT,      // vsock is not used
  DUE,         // an attempt may be made
  CONNECTING,  // an attempt is under way
  OPEN,
  RESTING,  // the last attempt failed a short while ago
};

enum class Choice {
  BACKDOOR,
  VSOCK,
  WAIT,  // wait for vsock to connect, as nothing else can serve
  NONE,  // no way can serve now
};

// The whole decision, which ARCHITECTURE.md shows as a table.
Choice choose_transport(Preference preference, bool backdoor, VsockState vsock);
// Says whether a conversation should connect over vsock in the background.
bool wants_vsock(Preference preference, bool backdoor);

struct TransportOptions {
  Preference preference = Preference::AUTO;
  std::string backdoor_name = "backdoor";      // for logs and status: "port", "vmcall"
  Duration connect = std::chrono::seconds(5);  // the time that connecting may take
  // The rest after a failure, which doubles with each further failure.
  Duration rest_min = std::chrono::seconds(2);
  Duration rest_max = std::chrono::minutes(5);
};

// Shared by the conversations that use it and by Python's object, and gone with the last of them.
// Any thread may call it. Backdoor, dialer and clock must live longer.
class Transports {
 public:
  explicit Transports(Backdoor& backdoor);  // uses that backdoor alone
  Transports(Backdoor& backdoor, Dialer& dialer, Clock& clock, TransportOptions options = {});

  Backdoor& backdoor() const { return backdoor_; }  // an AbsentBackdoor if there is none
  Dialer* dialer() const { return dialer_; }        // nullptr where vsock is not used
  Clock& clock() const { return clock_; }
  const TransportOptions& options() const { return options_; }
  bool backdoor_serves() const;

  Choice choose(VsockState vsock) const;
  bool wants_vsock() const;

  // What is known about the host's vsock port for this protocol: whether and when an attempt may be
  // made.
  bool may_dial(wire::Protocol protocol) const;
  Time dial_at(wire::Protocol protocol) const;
  // While paused, no attempt is made in the background. The first socket of a kind may have the
  // kernel load a module, which must not happen while something is frozen.
  void pause(bool paused) { paused_ = paused; }
  // Notes that a connection failed, or that one broke which was open since `opened` (Time{} where
  // it never was).
  void failed(wire::Protocol protocol, const std::string& why, Time opened = {});
  void succeeded(wire::Protocol protocol);
  // Notes that a connection is open. For TCLO this means that the host is back, so that requests
  // need not wait any longer either.
  void opened(wire::Protocol protocol);
  std::string trouble(wire::Protocol protocol) const;  // the last trouble, "" if there is none
  // For logs and status: "vsock" or the backdoor's name, and why that way is used.
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
