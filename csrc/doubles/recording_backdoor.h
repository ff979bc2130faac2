// A Backdoor in front of another one, which remembers the registers of every trap before and after,
// and changes answers on request. It serves tests of what exactly goes over the wire, of hosts
// whose registers are wrong in ways that the Device does not know, and of a lack of memory at that
// place.
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

// Owned by the test, and longer-lived than the channels that use it. It has its own lock, so any
// thread may call it.
class RecordingBackdoor final : public wire::Backdoor {
 public:
  explicit RecordingBackdoor(wire::Backdoor& inner) : inner_(inner) {}
  // Sets `target` to `value` in the answer to the nth trap, counted from 1.
  void change(std::size_t nth, std::uint64_t wire::Registers::*target, std::uint64_t value);
  // Makes the next `times` traps throw std::bad_alloc, an error that no code on the way handles.
  void break_down(int times);
  void allow_privilege();  // makes set_privilege() return true
  std::vector<Frame> frames() const;
  std::vector<bool> privileges() const;  // the arguments of set_privilege()

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
