// Counts what goes over the wire, for status and metrics. Channels and RPCI add to the meter of the
// backdoor that they were given, if it has one. MeteredBackdoor gives a meter to any backdoor and
// counts the traps itself. It also holds the Recorder of a program that is recorded.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "wire/backdoor.h"
#include "wire/recorder.h"

namespace vmtpy::wire {

// Owned by its backdoor. Any thread may add and read.
struct Meter {
  using Count = std::atomic<std::uint64_t>;
  Count low = 0;  // traps by instruction: in; rep outsb; rep insb
  Count high_out = 0;
  Count high_in = 0;
  Count opens = 0;     // channels opened
  Count failures = 0;  // conversations that broke off, after which the channel was closed
  Count rpcs = 0;      // RPCI requests
  Count refusals = 0;  // requests that were answered with "0"
};

// Owned and used like every Backdoor (wire/backdoor.h). The counted backdoor must live longer.
class MeteredBackdoor final : public Backdoor {
 public:
  explicit MeteredBackdoor(Backdoor& backdoor) : backdoor_(backdoor) {}
  void low(Registers& registers) override;
  void high_out(Registers& registers) override;
  void high_in(Registers& registers) override;
  bool set_privilege(bool raised) override { return backdoor_.set_privilege(raised); }
  bool high_bandwidth() const override { return backdoor_.high_bandwidth(); }
  Meter* meter() override { return &meter_; }
  Recorder* recorder() override { return recorder_.get(); }
  // Before any channel uses it; throws SystemError.
  void record_to(const std::string& name) { recorder_ = std::make_unique<Recorder>(name); }
  bool present() const override { return backdoor_.present(); }

 private:
  Backdoor& backdoor_;
  Meter meter_;
  std::unique_ptr<Recorder> recorder_;
};

inline void count(Backdoor& backdoor, Meter::Count Meter::*what) {
  if (Meter* meter = backdoor.meter()) (meter->*what).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace vmtpy::wire
