// What a run has measured.
//
// Thread safety: plain data; live_figures may be read while its worker writes.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stress/findings.h"
#include "stress/histogram.h"
#include "stress/operation.h"

namespace memhp::stress {

struct op_figures {
  std::uint64_t successes = 0;
  std::map<int, std::uint64_t> errors;  // by errno
  histogram latency;                    // of all calls, ns

  std::uint64_t calls() const { return latency.count(); }
  void merge(const op_figures& other);
};

// What a worker tells while it runs.
struct alignas(64) live_figures {
  std::atomic<std::uint64_t> calls = 0;
  std::atomic<std::uint64_t> successes = 0;
  std::atomic<std::uint64_t> latency_sum_ns = 0;
  std::atomic<std::uint64_t> latency_max_ns = 0;   // since it was taken last
  std::atomic<std::uint64_t> inside_since_ns = 0;  // 0: between two calls
  std::atomic<std::uint64_t> inside_target = 0;
  std::atomic<operation> inside_op = operation::read;
};

// The run over time, in at most `most` samples: when they are full, two become one.
class timeline {
 public:
  struct sample {
    double until_s = 0;
    std::uint64_t calls = 0;
    std::uint64_t successes = 0;
    std::uint64_t latency_sum_ns = 0;
    std::uint64_t latency_max_ns = 0;
  };
  static constexpr std::size_t most = 1024;

  void add(const sample& each);
  const std::vector<sample>& samples() const { return samples_; }

 private:
  static void join(sample& into, const sample& next);

  std::vector<sample> samples_;
  std::size_t per_sample_ = 1;  // how many added ones each holds
  std::size_t in_last_ = 0;
};

struct worker_total {
  std::string name;  // "online 3"
  std::string kind;
  std::uint64_t calls = 0;
  std::uint64_t successes = 0;
};

struct lock_wait {
  std::string name;
  std::uint64_t contentions = 0;
  std::uint64_t acquisitions = 0;
  double wait_total_us = 0;
  double hold_total_us = 0;
};

struct run_figures {
  std::string command_line;
  std::uint64_t seed = 0;
  double elapsed_s = 0;
  std::array<op_figures, operation_count> ops;
  std::vector<worker_total> workers;
  timeline over_time;
  std::vector<lock_wait> locks;  // those waited for longest first
  // How often each injected fault happened, by name.
  std::vector<std::pair<std::string, std::uint64_t>> faults;
  std::vector<finding> findings;
  std::uint64_t finding_count = 0;
  bool wedged = false;  // some call never came back

  std::uint64_t calls() const;
  std::uint64_t successes() const;
};

// Jain's index of how evenly the workers of one kind got on: 1 for evenly, 1/n if one had
// everything.
double fairness(const std::vector<worker_total>& workers, const std::string& kind);

}  // namespace memhp::stress
