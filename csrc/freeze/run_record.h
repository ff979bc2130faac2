// The record of a run: what was frozen, for how long, how it ended. Filled by the freeze session,
// handed to Python when the last filesystem has thawed; metrics, logs and hooks read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

enum class Outcome {
  NONE,      // not ended yet
  RELEASED,  // thawed because it was asked for; everything was frozen until then. (`error` is set
             // even so if a FITHAW keeps failing: the snapshot is good, the filesystem is not.)
  ABORTED,   // given up on request
  FAILED,    // could not freeze; what was frozen has been thawed
  EXPIRED,   // the limit struck first
  LOST,  // found thawed by someone else (the guardian, an administrator) when it was to be thawed
};

struct FilesystemRun {
  std::string path;
  std::string device;
  std::string type;
  int level = 0;
  bool sync_only = false;
  Duration presync{};  // all rounds of syncfs together
  int presync_rounds = 0;
  Duration freeze{};  // in FIFREEZE
  Duration frozen{};  // from the return of FIFREEZE to the return of FITHAW
  Duration thaw{};    // in FITHAW
  // How long a writer may have waited: from the beginning of FIFREEZE until the filesystem was free
  // again; so far, while it is not.
  Duration waited{};
  // Of its devices, which it may share; nothing where that is not known.
  std::optional<std::int64_t> dirty_before;  // bytes, just before the pre-sync
  std::optional<std::int64_t> dirty_left;    // and at its end
  double disk_rate = 0;      // bytes a second that they took; 0: too little was written to tell
  double writer_rate = 0;    // bytes a second that were dirtied, at the end of the pre-sync
  Duration expected_hold{};  // of FIFREEZE, by these
  Duration paced{};          // for how long its writers were slowed down
  int error = 0;             // errno of the call that failed, 0 if none
  std::string call;          // that call: "open", "syncfs", "FIFREEZE", "FITHAW"
  std::string note;          // anything a reader should know: "thawed late, 2.4 s after the rest"
};

struct RunRecord {
  Outcome outcome = Outcome::NONE;
  std::string error;  // "FIFREEZE /var: Device or resource busy", "" if all went well
  int code = 0;       // errno of it, 0 if none
  std::string path;   // filesystem of it
  std::int64_t started_unix_ns = 0;  // wall clock, for people
  Time started{};                    // CLOCK_MONOTONIC, all of these; zero if it did not come to it
  Time presynced{};
  Time first_freeze{};  // just before the first FIFREEZE; the limit runs a few ms longer
  Time all_frozen{};
  Time release_asked{};  // release(), abort() or the limit
  Time all_thawed{};
  Duration limit{};
  bool rcu_expedited = false;
  // Of the whole machine: the kernel counts per filesystem only where debugfs is mounted.
  std::optional<std::int64_t> dirty_before;  // bytes, just before the pre-sync
  std::optional<std::int64_t> dirty_left;    // and just before the first FIFREEZE
  std::string dirty_source;  // of what is dirty of each filesystem: "debugfs", "meminfo" or ""
  std::string rate_source;   // of how fast its disks take it: "sectors", "debugfs" or ""
  std::vector<std::string> warnings;  // what did not prevent the run but should be known
  std::vector<FilesystemRun> filesystems;
  std::vector<plan::LeftOut> left_out;  // what could lose writes and was not to be frozen
};

}  // namespace vmtpy::freeze
