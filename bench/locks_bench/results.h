// What was measured: cells, run in interleaved rounds, and their samples.
//
// Thread safety: values of the main thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace memhp::bench {

// A lock under one condition; measured once a round. `run` gives a figure per column.
struct cell {
  std::string question;
  std::string lock;
  std::string placement;
  unsigned threads;
  struct column {
    std::string name;
    std::string unit;
  };
  std::vector<column> columns;
  std::function<std::vector<double>()> run;
};

// One figure of a cell, a sample a round. Rounds in which it could not be had are left
// out by their absence from `samples`: then ratios over it do not exist.
struct row {
  std::string question;
  std::string lock;
  std::string placement;
  unsigned threads;
  std::string column;
  std::string unit;
  std::vector<double> samples;

  double median() const;
  double low() const;   // 10th percentile
  double high() const;  // 90th
};

class results {
 public:
  std::vector<row> rows;

  const row* find(std::string_view question, std::string_view lock,
                  std::string_view column, std::string_view placement = "all") const;
  // Median over the rounds of a / b, both from the same round.
  static std::optional<double> ratio(const row* a, const row* b);
  // Median over the rounds of a - b.
  static std::optional<double> difference(const row* a, const row* b);
};

// Runs every cell once a round, each round beginning with another one, so that what
// disturbs the machine for a while disturbs all of them. Says on stderr how far it is.
void run_interleaved(std::span<const cell> cells, unsigned rounds, results& into);

}  // namespace memhp::bench
