// Runs a plan's workers against a tree: each in a thread of its own, or all on one ring.
//
// Thread safety: none; one thread. Workers in threads send SIGUSR1 to each other if the
// plan has workers that do; its disposition is this module's from then on.
#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "stress/figures.h"
#include "stress/op_log.h"
#include "stress/performer.h"
#include "stress/plan.h"
#include "stress/tree.h"

namespace memhp::stress {

// Who makes the calls.
enum class driver_kind : std::uint8_t {
  threads,  // a thread for each worker
  uring,    // one thread for all of them, through io_uring
};

struct run_options {
  driver_kind driver = driver_kind::threads;
  // Calls under way at a time, all workers together; for uring alone. 0: one a worker.
  unsigned in_flight = 0;
  // None: kept for threads, each for uring.
  std::optional<state_files> files;
  // Called some four times a second while workers run.
  std::function<void(const timeline::sample& since_last, double elapsed_s)> progress;
  // Called as often, in the thread that runs the run.
  std::function<void()> tick;
  // Whether the run shall end early.
  std::function<bool()> stop;
  // Whether a run that ends shall no longer wait for the calls that are under way.
  std::function<bool()> give_up;
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
