// The switch /sys/kernel/rcu_expedited. FIFREEZE waits for RCU grace periods, about 10 ms each,
// three for each filesystem; with the switch set they take well under a millisecond. It serves the
// conductor.
//
// With several sessions only the one that finds 0 sets the switch, and that one puts it back. A
// second session that finds it set leaves it alone. If the first one puts it back meanwhile, the
// second is slower and nothing else. What a crash leaves set, the guardian or `vmtpy thaw` (from
// the marker) puts back.
#pragma once

#include <string>

#include "linux/system.h"

namespace vmtpy::freeze {

// Owned by the conductor, used by its thread only, and as long-lived as the conductor.
class RcuSwitch {
 public:
  static constexpr const char* PATH = "/sys/kernel/rcu_expedited";
  static constexpr const char* OFF = "0";  // as look() wants it, and as it is put back

  explicit RcuSwitch(linux::System& system) : system_(system) {}
  // Reads the switch. Returns false where it must be left alone: it is set already, overruled by
  // rcu_normal, or missing.
  bool look();
  bool wanted() const { return wanted_; }
  bool set();      // returns false if the switch cannot be written
  bool restore();  // returns true when nothing is left to put back
  bool changed() const { return changed_; }

 private:
  linux::System& system_;
  // It is made beforehand, because restore() may allocate nothing while something is frozen.
  const std::string path_ = PATH;
  bool wanted_ = false;
  bool changed_ = false;
};

}  // namespace vmtpy::freeze
