// Counts each trap and passes it on. It relies on relaxed atomics, because no other memory depends
// on the order of the counts.
#include "wire/meter.h"

namespace vmtpy::wire {

void MeteredBackdoor::low(Registers& registers) {
  count(*this, &Meter::low);
  backdoor_.low(registers);
}

void MeteredBackdoor::high_out(Registers& registers) {
  count(*this, &Meter::high_out);
  backdoor_.high_out(registers);
}

void MeteredBackdoor::high_in(Registers& registers) {
  count(*this, &Meter::high_in);
  backdoor_.high_in(registers);
}

}  // namespace vmtpy::wire
