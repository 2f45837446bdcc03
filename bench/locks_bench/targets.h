// What was asked of the locks, beside what this run measured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/locks_bench/results.h"

namespace memhp::bench {

struct target {
  std::string asked;
  std::optional<double>
      measured;  // no value: this run, machine or build did not measure it
  double bound;
  bool at_most;      // else at least
  std::string unit;  // "x" for ratios, which are medians of the rounds' ratios

  bool met() const {
    return measured && (at_most ? *measured <= bound : *measured >= bound);
  }
};

std::vector<target> judge(const results& of);

}  // namespace memhp::bench
