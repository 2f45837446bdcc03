// memhp stat --locks: waits and holds by class, as people and programs read them.
//
// Thread safety: pure functions of one reading.
#pragma once

#include <string>

#include "emu/lock_figures.h"

namespace memhp {

// A table, the most contended class first; or one line that says why there is none.
std::string text_lock_report(const shared_lock_figures& locks);

// {"counting": BOOL, "locks": [{"name": ..., "write": SIDE, "read": SIDE,
//   "contention_points": [{"where": ..., "count": N}], "contending_points": [...]}]}
// SIDE is {"contended_bounces": N, "acquired_bounces": N, "wait": TIMES, "hold": TIMES},
// TIMES is {"nr": N, "min_ns": N, "max_ns": N, "total_ns": N, "avg_ns": N, "histogram":
// [{"from_ns": N, "below_ns": N, "nr": N}]} with the buckets that are not empty.
std::string json_lock_report(const shared_lock_figures& locks, int indent);

}  // namespace memhp
