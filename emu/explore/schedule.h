// The text of a schedule: which task took each step.
//
// "a12bc3#8e1f": task 1 took 12 steps, task 2 one, task 3 three; the digest of the run
// follows, if it is known. Tasks are a-z, then A-Z.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memhp {

struct schedule {
  std::vector<std::uint8_t> tasks;  // from 1
  std::optional<std::uint64_t> digest;
};

std::string to_string(const schedule& what);
// Nothing if it is not the text of a schedule.
std::optional<schedule> schedule_from(std::string_view text);

}  // namespace memhp
