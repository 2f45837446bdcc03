// The figures of a run as text, JSON, JUnit's XML and SVG.
//
// Thread safety: pure functions, except write_plots().
#pragma once

#include <expected>
#include <string>

#include "stress/figures.h"

namespace memhp::stress {

std::string text_report(const run_figures& figures);
std::string json_report(const run_figures& figures);
// One test case an operation and one for the invariants; a finding is a failure.
std::string junit_report(const run_figures& figures);

// Writes throughput.svg and latency.svg into an existing directory. The error is one
// line.
std::expected<void, std::string> write_plots(const run_figures& figures,
                                             const std::string& dir);

// One line of progress.
std::string progress_line(const timeline::sample& since_last, double interval_s,
                          double elapsed_s);

// proc/lock_stat's text as figures, those waited for longest first.
std::vector<lock_wait> parse_lock_stat(const std::string& text);

}  // namespace memhp::stress
