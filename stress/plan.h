// What a stress run is asked to do.
//
// Thread safety: pure functions and plain data.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "stress/faults.h"
#include "stress/operation.h"

namespace memhp::stress {

// A kind of worker: the operations that it takes turns with, by weight.
struct worker_kind {
  std::string_view name;
  struct choice {
    operation op;
    unsigned weight;
  };
  std::vector<choice> choices;
  bool writes = false;  // whether a signal may interrupt it
};

// The kinds that there are, in the order of `memhp stress --help`.
const std::vector<worker_kind>& worker_kinds();

// So many workers of one kind: "online=8", "read=16@1000" (each at most 1000 operations
// a second), "read=4@1000~5" (and 5 ms to think after each).
struct worker_group {
  const worker_kind* kind = nullptr;
  unsigned count = 0;
  unsigned rate = 0;      // operations a second; 0: as many as there are
  unsigned think_ms = 0;  // after each operation
};

// "probe=1,online=2". The error is one line that says what to write instead.
std::expected<std::vector<worker_group>, std::string> parse_workers(
    std::string_view text);

// "2s", "500ms", "10m", "1h".
std::expected<std::chrono::milliseconds, std::string> parse_duration(
    std::string_view text);

struct plan {
  std::vector<worker_group> workers;
  std::chrono::milliseconds time{0};
  std::uint64_t operations = 0;  // each worker's; 0: until the time is over
  std::uint64_t seed = 1;
  circumstances now;
  std::vector<fault> faults;
  std::string record_path;   // "": nothing is recorded
  std::string command_line;  // for the reports
};

}  // namespace memhp::stress
