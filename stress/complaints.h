// What a kernel's log complains of, cut into one finding for each complaint.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "stress/findings.h"

namespace memhp::stress {

// The lines of `log` from number `since` on that are warnings or worse. `log` is what
// proc/kmsg says: "PRIORITY,SEQUENCE,MICROSECONDS,-;TEXT" a line.
std::vector<finding> complaints_in(const std::string& log, std::uint64_t since);

}  // namespace memhp::stress
