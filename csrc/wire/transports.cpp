// The decision table, and what is remembered of vsock's failures. It relies on the clock for when
// the next attempt may be made.
#include "wire/transports.h"

#include <algorithm>

namespace vmtpy::wire {

namespace {

// A connection that breaks sooner than this after it was opened counts as a failed attempt.
constexpr Duration LASTING = std::chrono::minutes(1);

Clock& steady() {
  static SteadyClock clock;
  return clock;
}

}  // namespace

Choice choose_transport(Preference preference, bool backdoor, VsockState vsock) {
  backdoor = backdoor && preference != Preference::VSOCK;
  if (preference == Preference::BACKDOOR) return backdoor ? Choice::BACKDOOR : Choice::NONE;
  if (vsock == VsockState::OPEN) return Choice::VSOCK;
  if (backdoor) return Choice::BACKDOOR;
  const bool hope = vsock == VsockState::DUE || vsock == VsockState::CONNECTING;
  return hope ? Choice::WAIT : Choice::NONE;
}

bool wants_vsock(Preference preference, bool backdoor) {
  switch (preference) {
    case Preference::AUTO:
    case Preference::VSOCK:
      return true;
    case Preference::SPARE:
      return !backdoor;
    case Preference::BACKDOOR:
      return false;
  }
  return false;
}

Transports::Transports(Backdoor& backdoor)
    : backdoor_(backdoor),
      dialer_(nullptr),
      clock_(steady()),
      options_({.preference = Preference::BACKDOOR}) {}

Transports::Transports(Backdoor& backdoor, Dialer& dialer, Clock& clock, TransportOptions options)
    : backdoor_(backdoor),
      dialer_(options.preference == Preference::BACKDOOR ? nullptr : &dialer),
      clock_(clock),
      options_(std::move(options)) {}

bool Transports::backdoor_serves() const {
  return backdoor_.present() && options_.preference != Preference::VSOCK;
}

Choice Transports::choose(VsockState vsock) const {
  return choose_transport(options_.preference, backdoor_.present(), vsock);
}

bool Transports::wants_vsock() const {
  return dialer_ != nullptr && wire::wants_vsock(options_.preference, backdoor_.present());
}

bool Transports::may_dial(wire::Protocol protocol) const {
  return !paused_ && clock_.now() >= dial_at(protocol);
}

Time Transports::dial_at(wire::Protocol protocol) const {
  MutexLock guard(mutex_);
  return memory(protocol).rest_until;
}

void Transports::failed(wire::Protocol protocol, const std::string& why, Time opened) {
  const Time now = clock_.now();
  MutexLock guard(mutex_);
  Memory& known = memory(protocol);
  const bool lasted = opened != Time{} && now - opened >= LASTING;
  known.rest = lasted || known.rest == Duration::zero()
                   ? options_.rest_min
                   : std::min(2 * known.rest, options_.rest_max);
  known.rest_until = now + known.rest;
  known.trouble = why;
}

void Transports::opened(wire::Protocol protocol) {
  if (protocol != wire::Protocol::TCLO) return;
  MutexLock guard(mutex_);
  memory(wire::Protocol::RPCI).rest_until = {};
}

void Transports::succeeded(wire::Protocol protocol) {
  MutexLock guard(mutex_);
  memory(protocol).trouble.clear();
}

std::string Transports::trouble(wire::Protocol protocol) const {
  MutexLock guard(mutex_);
  return memory(protocol).trouble;
}

std::string Transports::reason(wire::Protocol protocol, bool vsock) const {
  if (options_.preference == Preference::VSOCK || options_.preference == Preference::BACKDOOR) {
    return "as configured";
  }
  if (vsock) return backdoor_.present() ? "the host listens there" : "there is no backdoor";
  const std::string found = trouble(protocol);
  return found.empty() ? "vsock is not connected" : found;
}

}  // namespace vmtpy::wire
