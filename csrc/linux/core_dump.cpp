#include "linux/core_dump.h"

#include <sys/prctl.h>

#include "base/thread_safety.h"

namespace vmtpy::linux {

namespace {

Mutex mutex;
int sessions GUARDED_BY(mutex) = 0;
int found GUARDED_BY(mutex) = 1;

}  // namespace

void forbid_core_dumps() {
  MutexLock guard(mutex);
  if (sessions++ > 0) return;
  found = prctl(PR_GET_DUMPABLE);
  prctl(PR_SET_DUMPABLE, 0);
}

void allow_core_dumps() {
  MutexLock guard(mutex);
  // 2 (dumps readable by root only) is what the kernel sets, and cannot be set by prctl.
  if (--sessions == 0 && found == 1) prctl(PR_SET_DUMPABLE, 1);
}

}  // namespace vmtpy::linux
