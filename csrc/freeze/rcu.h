// /sys/kernel/rcu_expedited. FIFREEZE waits for RCU grace periods, about 10 ms each, three per
// filesystem; with the switch set they take well under a millisecond.
//
// Several stuck_writers: only who finds it 0 sets it, and who set it puts it back. A second session
// that finds it set leaves it alone; should the first one put it back meanwhile, the second is
// slower, nothing else. What a crash leaves set, the guardian or `vmtpy thaw` (from the marker)
// puts back.
#pragma once

#include <string>

#include "linux/system.h"

namespace vmtpy::freeze {

class RcuSwitch {
 public:
  static constexpr const char* PATH = "/sys/kernel/rcu_expedited";

  explicit RcuSwitch(linux::System& system) : system_(system), path_(PATH) {}
  // Reads what is there. False: leave it alone (already set, overruled by rcu_normal, not there).
  bool look();
  bool wanted() const { return wanted_; }
  const std::string& path() const { return path_; }
  const std::string& found() const { return found_; }
  bool set();      // false if it cannot be written
  bool restore();  // true when there is nothing (any more) to put back
  bool changed() const { return changed_; }

 private:
  linux::System& system_;
  const std::string path_;
  std::string found_ = "0";
  bool wanted_ = false;
  bool changed_ = false;
};

}  // namespace vmtpy::freeze
