// Passes each trap to the inner backdoor and records it under a lock. It relies on the inner
// backdoor for every answer.
#include "doubles/recording_backdoor.h"

#include <new>

namespace vmtpy::doubles {

void RecordingBackdoor::break_down(int times) {
  MutexLock guard(mutex_);
  break_downs_ = times;
}

void RecordingBackdoor::may_break_down() {
  MutexLock guard(mutex_);
  if (break_downs_ == 0) return;
  --break_downs_;
  throw std::bad_alloc();
}

void RecordingBackdoor::change(std::size_t nth, std::uint64_t wire::Registers::*target,
                               std::uint64_t value) {
  MutexLock guard(mutex_);
  changes_.push_back({nth, target, value});
}

std::vector<Frame> RecordingBackdoor::frames() const {
  MutexLock guard(mutex_);
  return frames_;
}

void RecordingBackdoor::allow_privilege() {
  MutexLock guard(mutex_);
  privilege_allowed_ = true;
}

std::vector<bool> RecordingBackdoor::privileges() const {
  MutexLock guard(mutex_);
  return privileges_;
}

void RecordingBackdoor::low(wire::Registers& registers) {
  may_break_down();
  wire::Registers before = registers;
  inner_.low(registers);
  record(emulator::Instruction::LOW, before, registers);
}

void RecordingBackdoor::high_out(wire::Registers& registers) {
  may_break_down();
  wire::Registers before = registers;
  inner_.high_out(registers);
  record(emulator::Instruction::HIGH_OUT, before, registers);
}

void RecordingBackdoor::high_in(wire::Registers& registers) {
  may_break_down();
  wire::Registers before = registers;
  inner_.high_in(registers);
  record(emulator::Instruction::HIGH_IN, before, registers);
}

bool RecordingBackdoor::set_privilege(bool raised) {
  MutexLock guard(mutex_);
  privileges_.push_back(raised);
  return privilege_allowed_;
}

void RecordingBackdoor::record(emulator::Instruction instruction, const wire::Registers& before,
                               wire::Registers& after) {
  MutexLock guard(mutex_);
  for (const Change& change : changes_) {
    if (change.nth == frames_.size() + 1) after.*change.target = change.value;
  }
  frames_.push_back({instruction, before, after});
}

}  // namespace vmtpy::doubles
