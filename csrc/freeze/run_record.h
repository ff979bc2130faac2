// The record of a run: what was frozen, for how long, and how it ended. The conductor composes it,
// and Python gets it when the last filesystem has thawed; metrics, logs and hooks read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

enum class Outcome {
  NONE,  // not ended yet
  // Thawed on request, and everything was frozen until then. (`error` may still be set where a
  // FITHAW keeps failing: the snapshot is good, the filesystem is not.)
  RELEASED,
  ABORTED,  // given up on request
  FAILED,   // something could not be frozen; what was frozen has been thawed
  EXPIRED,  // the limit struck first
  // Someone else (the guardian, an administrator) had thawed a filesystem before the session did.
  LOST,
};

struct FilesystemRun {
  std::string path;
  std::string device;
  std::string type;
  int level = 0;
  bool sync_only = false;
  Duration presync{};  // all rounds of syncfs together
  int presync_rounds = 0;
  Duration freeze{};  // the time in FIFREEZE
  Duration frozen{};  // from the return of FIFREEZE to the return of FITHAW
  Duration thaw{};    // the time in FITHAW
  // How long a writer may have waited: from the beginning of FIFREEZE until the filesystem was free
  // again, or until now while it is not.
  Duration waited{};
  // The figures of its devices, which it may share. They are missing where that is not known.
  std::optional<std::int64_t> dirty_before;  // bytes, just before the pre-sync
  std::optional<std::int64_t> dirty_left;    // bytes at its end
  // Bytes a second that the devices took, 0 where too little was written to tell.
  double disk_rate = 0;
  // Bytes a second that writers dirtied, at the end of the pre-sync.
  double writer_rate = 0;
  Duration expected_hold{};  // the length of FIFREEZE that these figures predicted
  Duration paced{};          // how long its writers were slowed down
  int error = 0;             // the errno of the call that failed, 0 if none did
  std::string call;          // that call: "open", "syncfs", "FIFREEZE", "FITHAW"
  std::string note;          // other facts for the reader: "thawed late, 2.4 s after the rest"
};

struct RunRecord {
  Outcome outcome = Outcome::NONE;
  std::string error;  // "FIFREEZE /var: Device or resource busy", "" if all went well
  int code = 0;       // the errno of that error, 0 if none
  std::string path;   // the filesystem of that error
  std::int64_t started_unix_ns = 0;  // wall clock, for people
  // All these times are CLOCK_MONOTONIC, and zero where the run did not get there.
  Time started{};
  Time presynced{};
  Time first_freeze{};  // just before the first FIFREEZE; the limit runs a few ms longer
  Time all_frozen{};
  Time release_asked{};  // release(), abort() or the limit
  Time all_thawed{};
  Duration limit{};
  bool rcu_expedited = false;
  // The figures of the whole machine, because the kernel counts for each filesystem only where
  // debugfs is mounted.
  std::optional<std::int64_t> dirty_before;  // bytes, just before the pre-sync
  std::optional<std::int64_t> dirty_left;    // bytes, just before the first FIFREEZE
  // The source of each filesystem's dirty pages: "debugfs", "meminfo" or "".
  std::string dirty_source;
  // The source of its disks' rate: "sectors", "debugfs" or "".
  std::string rate_source;
  std::vector<std::string> warnings;  // facts that did not prevent the run but should be known
  std::vector<FilesystemRun> filesystems;
  std::vector<plan::LeftOut> left_out;  // what could lose writes and was not to be frozen
};

}  // namespace vmtpy::freeze
