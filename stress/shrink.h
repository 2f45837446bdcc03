// Delta debugging of a log: leaves out calls as long as the rest still fails.
//
// Thread safety: none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

#include "stress/call.h"

namespace memhp::stress {

// `fails` says whether these calls, on a fresh machine, still lead to a finding; it is
// asked at most `most_trials` times. `calls` must fail. The result fails, and so did
// every step to it (Zeller's ddmin, complements only).
inline std::vector<record> shrink(
    std::vector<record> calls,
    const std::function<bool(const std::vector<record>&)>& fails,
    std::size_t most_trials) {
  std::size_t parts = 2;
  std::size_t trials = 0;
  while (calls.size() >= 2 && trials < most_trials) {
    const std::size_t part = (calls.size() + parts - 1) / parts;
    bool smaller = false;
    for (std::size_t from = 0; from < calls.size() && trials < most_trials;
         from += part) {
      std::vector<record> rest = calls;
      const auto first = rest.begin() + static_cast<std::ptrdiff_t>(from);
      const auto count = std::min(part, rest.size() - from);
      rest.erase(first, first + static_cast<std::ptrdiff_t>(count));
      ++trials;
      if (!fails(rest)) continue;
      calls = std::move(rest);
      parts = std::max<std::size_t>(parts - 1, 2);
      smaller = true;
      break;
    }
    if (smaller) continue;
    if (part == 1) break;
    parts = std::min(parts * 2, calls.size());
  }
  return calls;
}

}  // namespace memhp::stress
