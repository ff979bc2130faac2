// A Backdoor in front of another one: remembers the registers of every trap before and after, and
// changes answers on request. For tests of what exactly goes over the wire, for hosts whose
// registers are wrong in ways that the Device does not know, and for a lack of memory just there.
// Owned by the test, for longer than the channels that use it; thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "base/thread_safety.h"
#include "emulator/device.h"
#include "wire/backdoor.h"

namespace vmtpy::doubles {

struct Frame {
  emulator::Instruction instruction;
  wire::Registers before;
  wire::Registers after;
};

class RecordingBackdoor final : public wire::Backdoor {
 public:
  explicit RecordingBackdoor(wire::Backdoor& inner) : inner_(inner) {}
  // In the answer to the nth trap (1-based, counted from the beginning) `target` becomes `value`.
  void change(std::size_t nth, std::uint64_t wire::Registers::*target, std::uint64_t value);
  // The next `times` traps throw std::bad_alloc instead: an error that is nobody's business.
  void break_down(int times);
  void allow_privilege();  // set_privilege() answers true
  std::vector<Frame> frames() const;
  std::vector<bool> privileges() const;  // what set_privilege() was called with

  void low(wire::Registers& registers) override;
  void high_out(wire::Registers& registers) override;
  void high_in(wire::Registers& registers) override;
  bool set_privilege(bool raised) override;
  bool high_bandwidth() const override { return inner_.high_bandwidth(); }

 private:
  struct Change {
    std::size_t nth;
    std::uint64_t wire::Registers::*target;
    std::uint64_t value;
  };
  void record(emulator::Instruction instruction, const wire::Registers& before,
              wire::Registers& after);

  wire::Backdoor& inner_;
  void may_break_down();
  mutable Mutex mutex_;
  std::vector<Frame> frames_ GUARDED_BY(mutex_);
  std::vector<Change> changes_ GUARDED_BY(mutex_);
  std::vector<bool> privileges_ GUARDED_BY(mutex_);
  bool privilege_allowed_ GUARDED_BY(mutex_) = false;
  int break_downs_ GUARDED_BY(mutex_) = 0;
};

}  // namespace vmtpy::doubles
