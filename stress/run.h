// Runs a plan's workers, each in a thread of its own, against a tree.
//
// Thread safety: none; one thread. Workers send SIGUSR1 to each other if the plan has
// workers that do; its disposition is this module's from then on.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "stress/figures.h"
#include "stress/op_log.h"
#include "stress/plan.h"
#include "stress/tree.h"

namespace memhp::stress {

struct run_options {
  // Called some four times a second while workers run.
  std::function<void(const timeline::sample& since_last, double elapsed_s)> progress;
  // Whether the run shall end early.
  std::function<bool()> stop;
  // A call that has not come back for so long is a finding, and ends the run.
  std::chrono::milliseconds stuck_after{20'000};
  // Lets calls that never came back fail, so that their threads end.
  std::function<void()> break_tree;
  std::size_t most_findings = finding_list::kept;  // more end the run
};

// The error (of the log that is recorded) is one line.
std::expected<run_figures, std::string> run(const tree& sys, const plan& what,
                                            const run_options& options);

// Issues recorded calls again: each worker's in their order, and none before those that
// had ended when it was started.
run_figures replay(const tree& sys, const recorded_run& recorded,
                   const circumstances& now, const run_options& options);

}  // namespace memhp::stress
