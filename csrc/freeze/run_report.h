// What a run says about itself: errors, warnings, notes, and the record of it all. It serves the
// conductor, and depends only on what is known of the run.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/clock.h"
#include "freeze/freeze_options.h"
#include "freeze/freezer.h"
#include "freeze/run_record.h"
#include "freeze/run_state.h"
#include "freeze/stuck_writers.h"
#include "plan/filesystem.h"

namespace vmtpy::freeze {

struct RunTexts {
  Outcome outcome = Outcome::NONE;
  std::string error;
  std::string path;
  int code = 0;
  std::vector<std::string> warnings;
};

// How far each filesystem is at the time `now`.
struct RunProgress {
  const std::vector<plan::Filesystem>& filesystems;
  const FreezeOptions& options;
  std::vector<Progress> progress;
  RunTimes times;
  Time now{};
  std::vector<StorageFigures> figures;  // the figures of each filesystem
  const char* dirty_source = "";
  const char* rate_source = "";
};

// What else is known when the run is over.
struct RunFacts {
  RunProgress run;
  RunEnd end;
  std::string abort_reason;
  std::vector<std::string> warnings;
  std::vector<StuckWriter> stuck_writers;
  std::string replaced;   // what has happened to a planned mount
  std::string parent;     // what a filesystem that could not be opened is mounted on
  std::string suspended;  // the device that device-mapper has suspended
  std::string slow;       // how a disk and its writers stand
  pid_t guardian = 0;
  std::string bounds_left;  // devices whose bound could not be put back
  std::string rcu_left;     // the switch that could not be put back, "" if it is as it was
};

RunTexts compose_texts(const RunFacts& facts);
// Makes the record, which is complete only with the texts of a run that is over.
RunRecord make_record(const RunProgress& run, const RunTexts& texts, bool rcu_used);

}  // namespace vmtpy::freeze
