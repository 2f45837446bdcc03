// One worker's thread: takes calls from a source, does them, checks what came of them.
//
// Thread safety: run() in the worker's own thread; live() from any; figures() after it
// has ended.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stress/figures.h"
#include "stress/findings.h"
#include "stress/op_log.h"
#include "stress/performer.h"

namespace memhp::stress {

using run_clock = std::chrono::steady_clock;

// What all workers of a run share.
struct shared_run {
  shared_run(const tree& on, const circumstances& during, std::size_t workers)
      : sys{on}, now{during}, start{run_clock::now()}, threads{workers} {}

  const tree& sys;
  circumstances now;
  run_clock::time_point start;
  writer_threads threads;
  block_history history;
  finding_list findings;
  std::vector<std::string> names;  // of the workers
  std::shared_ptr<op_log> log;     // null: nothing is recorded
  std::atomic<bool> log_failed = false;
  std::atomic<bool> stop = false;
  std::atomic<bool> broken = false;            // the tree was ended under the workers
  std::atomic<std::uint64_t> ended_calls = 0;  // only counted by a replay
};

class worker {
 public:
  // The next call; nothing ends the worker.
  using source = std::function<std::optional<call>()>;

  worker(shared_run& shared, std::uint16_t index, bool can_be_interrupted, source next)
      : shared_{shared},
        index_{index},
        can_be_interrupted_{can_be_interrupted},
        next_{std::move(next)},
        performer_{shared.sys, shared.threads, index} {}

  void run();

  live_figures& live() { return live_; }
  const op_figures* figures(operation op) const {
    return ops_[static_cast<std::size_t>(op)].get();
  }
  bool ended() const { return ended_; }

 private:
  static constexpr std::size_t log_batch = 1024;

  void check(const record& done, const outcome& result);
  void count(const record& done);
  void keep(const record& done);
  void flush();

  shared_run& shared_;
  const std::uint16_t index_;
  const bool can_be_interrupted_;
  const source next_;
  performer performer_;
  live_figures live_;
  std::array<std::unique_ptr<op_figures>, operation_count> ops_;
  std::vector<record> to_log_;
  std::atomic<bool> ended_ = false;
};

}  // namespace memhp::stress
