// What runs of this process may have left frozen: their owners have heard the end, but a FIFREEZE
// or a FITHAW of theirs has not ended. It serves the agent's status. The conductors tell.
#pragma once

#include "base/clock.h"

namespace vmtpy::freeze {

// Returns since when there is such a run, zero if there is none. Any thread may ask at any time.
Time unsettled_since();

// Each run says once that it is not settled, and once that it is after all.
void run_is_unsettled(Time now);
void run_is_settled();

}  // namespace vmtpy::freeze
