// One worker: its calls, in their order, and what came of them. A driver makes them: in a
// thread of the worker's own (thread_driver.h), or many workers' on one ring
// (ring_driver.h).
//
// Thread safety: live() and ended() from any thread; figures() after it has ended; the
// rest in the thread of the driver.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
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
      : sys{on}, now{during}, start{run_clock::now()}, signals_sent(workers) {}

  const tree& sys;
  circumstances now;
  run_clock::time_point start;
  // To each worker: no call is interrupted more often.
  std::vector<std::atomic<std::uint64_t>> signals_sent;
  block_history history;
  finding_list findings;
  std::vector<std::string> names;  // of the workers
  std::shared_ptr<op_log> log;     // null: nothing is recorded
  std::atomic<bool> log_failed = false;
  std::atomic<bool> stop = false;
  std::atomic<bool> broken = false;            // the tree was ended under the workers
  std::atomic<std::uint64_t> ended_calls = 0;  // what a replay waits for
};

// A call and when it is due.
struct planned_call {
  call what;
  run_clock::time_point not_before;
  // Not before so many calls have ended, unless that takes until `at_last`.
  std::uint64_t after_ended = 0;
  run_clock::time_point at_last = run_clock::time_point::max();

  bool is_due(run_clock::time_point now, std::uint64_t ended) const {
    return now >= not_before && (ended >= after_ended || now >= at_last);
  }
};

class worker {
 public:
  // The next call; nothing ends the worker.
  using source = std::function<std::optional<planned_call>()>;

  worker(shared_run& shared, std::uint16_t index, bool can_be_interrupted,
         state_files how, source next)
      : shared_{shared},
        index_{index},
        can_be_interrupted_{can_be_interrupted},
        next_{std::move(next)},
        performer_{shared.sys, index, how} {}

  std::optional<planned_call> next() { return next_(); }
  // A call begins; `end` takes what this gave.
  record begin(const call& what);
  std::uint64_t now_ns() const;
  // It came back at done.end_ns: its figures, its place in the log and in the history of
  // its block, and a finding if that is due.
  void end(const record& done, const outcome& result);
  // There are no more calls.
  void finish();

  performer& performs() { return performer_; }
  std::uint16_t index() const { return index_; }
  bool can_be_interrupted() const { return can_be_interrupted_; }

  live_figures& live() { return live_; }
  const op_figures* figures(operation op) const {
    return ops_[static_cast<std::size_t>(op)].get();
  }
  bool ended() const { return ended_; }

 private:
  static constexpr std::size_t log_batch = 1024;

  void check(const record& done, const outcome& result);
  std::string complaint_about(const record& done, const outcome& result);
  void count(const record& done);
  void keep(const record& done);
  void flush();
  void show_oldest();

  shared_run& shared_;
  const std::uint16_t index_;
  const bool can_be_interrupted_;
  const source next_;
  performer performer_;
  live_figures live_;
  std::deque<record> under_way_;   // by start
  std::uint64_t interrupted_ = 0;  // calls that answered EINTR
  std::array<std::unique_ptr<op_figures>, operation_count> ops_;
  std::vector<record> to_log_;
  std::atomic<bool> ended_ = false;
};

}  // namespace memhp::stress
