// Counts the sessions that forbid core dumps. It relies on PR_SET_DUMPABLE, which belongs to the
// whole process.
#include "linux/core_dump.h"

#include <sys/prctl.h>

#include "base/thread_safety.h"

namespace vmtpy::linux {

namespace {

Mutex mutex;
int sessions GUARDED_BY(mutex) = 0;
int dumpable_before GUARDED_BY(mutex) = 1;

}  // namespace

void forbid_core_dumps() {
  MutexLock guard(mutex);
  if (sessions++ > 0) return;
  dumpable_before = prctl(PR_GET_DUMPABLE);
  prctl(PR_SET_DUMPABLE, 0);
}

void allow_core_dumps() {
  MutexLock guard(mutex);
  // The value 2 (dumps are readable by root only) is set by the kernel alone: prctl refuses to set
  // it.
  if (--sessions == 0 && dumpable_before == 1) prctl(PR_SET_DUMPABLE, 1);
}

}  // namespace vmtpy::linux
