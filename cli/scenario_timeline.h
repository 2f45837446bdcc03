// The steps of a scenario's run as a Chrome trace, which Perfetto opens.
//
// Thread safety: pure functions.
#pragma once

#include <string>

#include "emu/scenarios/scenario.h"

namespace memhp {

// A JSON object with "traceEvents": a row a task; a slice for each lock that it held or
// waited for; who hangs, waits to the end. Times are those of the scheduler: a step takes
// a microsecond. Of a run that recorded its steps.
std::string timeline_json(const scenario& s, const scenario_run& run);

}  // namespace memhp
