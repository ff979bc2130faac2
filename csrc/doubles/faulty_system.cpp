// Counts calls, fails the chosen one, and passes the others to the real System. In the guardian it
// only passes calls on.
#include "doubles/faulty_system.h"

#include <unistd.h>

namespace vmtpy::doubles {

FaultySystem::FaultySystem(linux::System& real) : InterceptingSystem(real), process_(getpid()) {}

void FaultySystem::fail(int nth, int error, bool for_good, std::string call) {
  MutexLock guard(mutex_);
  countdown_ = nth;
  error_ = error;
  for_good_ = for_good;
  only_ = std::move(call);
  fired_ = false;
}

bool FaultySystem::fired() const {
  MutexLock guard(mutex_);
  return fired_;
}

std::vector<std::string> FaultySystem::calls() const {
  MutexLock guard(mutex_);
  return calls_;
}

int FaultySystem::fault(const char* call) {
  MutexLock guard(mutex_);
  calls_.emplace_back(call);
  if (!only_.empty() && only_ != call) return 0;
  if (fired_ && for_good_) return -error_;
  if (countdown_ <= 0 || --countdown_ > 0) return 0;
  fired_ = true;
  return -error_;
}

int FaultySystem::close(int descriptor) {
  // As with the real close(2), the descriptor is gone even where an error is returned.
  const int error = fault(NAMES[CLOSE]);
  const int result = real_.close(descriptor);
  return error ? error : result;
}

int FaultySystem::before(Call call) {
  // The guardian takes no lock.
  return getpid() == process_ ? fault(NAMES[call]) : 0;
}

}  // namespace vmtpy::doubles
