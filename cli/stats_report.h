// A machine's figures as people and programs read them.
//
// Thread safety: pure functions of one reading.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "emu/stats_segment.h"

namespace memhp {

// Who answers for the machine right now.
struct machine_life {
  pid_t keeper = 0;         // 0: dead
  bool stopped = false;     // the worker is stopped by a signal
  std::uint64_t now_s = 0;  // seconds since the epoch
};

// Looks at the processes behind `view`.
machine_life life_of(const stats_view& view);

std::string text_report(const stats_segment_content& content, const machine_life& life);
std::string json_report(const stats_segment_content& content, const machine_life& life,
                        int indent);

}  // namespace memhp
