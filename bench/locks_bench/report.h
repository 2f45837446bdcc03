// Results as tables for people, and as CSV and JSON for programs.
#pragma once

#include <string>
#include <string_view>

#include "bench/locks_bench/results.h"
#include "bench/locks_bench/targets.h"

namespace memhp::bench {

// `machine` heads everything, since figures without it mean nothing.
struct heading {
  std::string machine;
  unsigned rounds;
  std::string missing;  // rivals that this build does not have; empty if it has all
};

// A table a question: a line per lock, median and [10th, 90th percentile] per column.
// With `markdown`, tables of Markdown; else aligned columns.
std::string as_tables(const heading& head, const results& of, bool markdown);
std::string as_targets(const std::vector<target>& judged, bool markdown);

// A line per figure. Columns:
// question,lock,placement,threads,column,unit,median,low,high, rounds; the heading in
// comment lines that start with '#'.
std::string as_csv(const heading& head, const results& of);
// {"machine", "rounds", "missing", "rows": [{... "samples": []}], "targets": [...]}
std::string as_json(const heading& head, const results& of,
                    const std::vector<target>& judged);

}  // namespace memhp::bench
