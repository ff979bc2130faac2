// How far a run is and how it ends. This is plain data of the conductor: the freezer's mutex guards
// RunState, and only the conductor's thread uses RunEnd. Between the first FIFREEZE and the last
// FITHAW only such data is set; run_report.h composes the texts when everything is over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "freeze/storage.h"

namespace vmtpy::freeze {

enum class Phase { NEW, PREPARING, FREEZING, FROZEN, THAWING, ENDED };

enum class Asked { NOTHING, RELEASE, ABORT };
// Why the run ends. The first reason stays.
enum class EndReason {
  NONE,
  RELEASED,
  ABORTED,
  EXPIRED,
  CALL,             // `call` on filesystem `index` failed with `code`
  OPEN_TIMEOUT,     // filesystem `index` was not opened in time
  TIMEOUT,          // filesystem `index` did not freeze in time
  PRESYNC_TIMEOUT,  // filesystem `index` was not synced in time
  // The disk of filesystem `index` is slower than its writers, and nothing has been frozen.
  TOO_SLOW,
  GUARDIAN_DIED,
  REPLACED,   // another filesystem is mounted where `index` was planned
  SUSPENDED,  // device-mapper has suspended a device below filesystem `index`
};
struct RunEnd {
  EndReason reason = EndReason::NONE;
  int index = -1;
  const char* call = "";
  int code = 0;
};
struct RunTimes {
  std::int64_t started_unix_ns = 0;
  Time started{}, presynced{}, first_freeze{}, all_frozen{}, release_asked{}, all_thawed{};
  std::optional<std::int64_t> dirty_before, dirty_left;
};

struct RunState {
  Phase phase = Phase::NEW;
  bool dropped = false;  // the owner is gone and has not started the run
  Asked asked = Asked::NOTHING;
  std::string abort_reason;
  RunTimes times;
  bool rcu_used = false;
  std::vector<StorageFigures> figures;  // empty until they are known
  const char* dirty_source = "";
  const char* rate_source = "";
};

}  // namespace vmtpy::freeze
