// A System whose n-th call fails, for the fault sweep. A sweep counts n up until no fault fires any
// more, once with the call failing a single time and once for good, and checks the invariants on
// every path.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/thread_safety.h"
#include "doubles/intercepting_system.h"

namespace vmtpy::doubles {

// Owned by the test, and longer-lived than the sessions that use it. It has its own lock, so any
// thread may call it.
class FaultySystem final : public InterceptingSystem {
 public:
  explicit FaultySystem(linux::System& real);
  // The nth call (counted from 1; only calls named `call` count, if it is not empty: "freeze",
  // "thaw", "fork", …) returns -error. With `for_good` every later call does as well.
  void fail(int nth, int error, bool for_good, std::string call = "");
  bool fired() const;
  std::vector<std::string> calls() const;  // names in order, for tests of order

  int close(int descriptor) override;

 private:
  int before(Call call) override;
  void after(Call, int) override {}
  int fault(const char* call);  // 0, or the negative error to return
  const pid_t process_;
  mutable Mutex mutex_;
  std::vector<std::string> calls_ GUARDED_BY(mutex_);
  std::string only_ GUARDED_BY(mutex_);
  int countdown_ GUARDED_BY(mutex_) = 0;
  int error_ GUARDED_BY(mutex_) = 0;
  bool for_good_ GUARDED_BY(mutex_) = false;
  bool fired_ GUARDED_BY(mutex_) = false;
};

}  // namespace vmtpy::doubles
