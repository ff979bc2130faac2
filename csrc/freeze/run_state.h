// How far a run is and how it ends. Plain data of the conductor; RunState is guarded by the
// freezer's mutex, RunEnd is used by the conductor alone. Between the first FIFREEZE and the last
// FITHAW only such data is set, and texts are composed when all is over (run_report.h).
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
// Why it ends. The first reason stays.
enum class EndReason {
  NONE,
  RELEASED,
  ABORTED,
  EXPIRED,
  CALL,             // `call` on filesystem `index` failed with `code`
  TIMEOUT,          // filesystem `index` did not freeze in time
  PRESYNC_TIMEOUT,  // or did not get synced in time
  TOO_SLOW,         // its disk does not take what is written to it: nothing has been frozen
  GUARDIAN_DIED,
  REPLACED,   // another filesystem lies where `index` was planned
  SUSPENDED,  // a device below filesystem `index` is, by device-mapper
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
  bool dropped = false;  // the owner is gone and has not started it
  Asked asked = Asked::NOTHING;
  std::string abort_reason;
  RunTimes times;
  bool rcu_used = false;
  std::vector<StorageFigures> figures;  // empty until they are known
  const char* dirty_source = "";
  const char* rate_source = "";
};

}  // namespace vmtpy::freeze
