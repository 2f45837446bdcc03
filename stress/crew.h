// The workers of a run while they run: started, sampled, watched, ended.
//
// Thread safety: none; the thread that runs the run. Its workers have their own.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "stress/run.h"
#include "stress/thread_driver.h"
#include "stress/worker.h"

namespace memhp::stress {

std::uint64_t ns_of(run_clock::duration time);

class crew {
 public:
  // `options` must outlive this.
  crew(std::unique_ptr<shared_run> shared, const run_options& options)
      : shared_{std::move(shared)}, options_{options} {}

  shared_run& shared() { return *shared_; }
  void add(std::string name, std::string kind, bool can_be_interrupted,
           worker::source next);

  // Until `limit` is over (0: never), all workers have ended, or there is a reason to.
  void run(std::chrono::milliseconds limit);
  run_figures figures();
  // Whether threads were left behind, which refer to this for ever.
  bool wedged() const { return wedged_; }

 private:
  void start();
  std::chrono::milliseconds pause(std::chrono::milliseconds limit) const;
  bool all_ended() const;
  void sample(run_clock::duration elapsed);
  bool find_stuck(std::chrono::milliseconds for_longer_than);
  bool ends_within(std::chrono::milliseconds time) const;
  bool join(bool found_stuck);

  std::unique_ptr<shared_run> shared_;
  const run_options& options_;
  std::vector<std::string> kinds_;
  std::deque<worker> workers_;
  std::unique_ptr<thread_signals> signals_;
  std::vector<std::thread> threads_;
  timeline over_time_;
  timeline::sample last_;
  run_clock::time_point ended_at_ = run_clock::time_point::max();
  bool wedged_ = false;
};

}  // namespace memhp::stress
