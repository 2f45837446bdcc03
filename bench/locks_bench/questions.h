// The questions that locks_bench asks. Each makes its cells; one file a question.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "bench/locks_bench/results.h"
#include "bench/locks_bench/topology.h"

namespace memhp::bench {

// How long and where everything runs.
struct conditions {
  std::chrono::milliseconds cell{50};           // one lock, one condition, one round
  std::chrono::milliseconds overlapping{1000};  // the same of the overlapping readers
  std::vector<placement> ways;                  // placements() of this machine

  const placement& all() const { return ways.front(); }
  unsigned cpus() const { return static_cast<unsigned>(all().cpus.size()); }
};

// Question names, as rows and --question have them.
inline constexpr auto read_pair_question = "read pair";
inline constexpr auto short_lived_question = "short-lived threads";
inline constexpr auto write_pair_question = "write pair";
inline constexpr auto latency_question = "writer latency";
inline constexpr auto mix_question = "mix";
inline constexpr auto mix_apart_question = "mix, apart";
inline constexpr auto overlap_question = "overlapping readers";

// ns a read lock and unlock take a thread: 1 thread, 2, and up to four times the CPUs.
std::vector<cell> read_pair(const conditions& when);
// us from making a thread that reads once to its end.
std::vector<cell> short_lived(const conditions& when);
// ns of a write lock and unlock that nobody contends: other CPUs asleep, busy, burst.
std::vector<cell> write_pair(const conditions& when);
// ns that a writer waits who comes every 20 us, while others read without a pause.
std::vector<cell> writer_latency(const conditions& when);
// Operations a second of threads that mostly read and sometimes write, or only write.
std::vector<cell> mixes(const conditions& when);
// ns of one read and one write of the former, on two threads.
std::vector<cell> mixes_apart(const conditions& when);
// Writes that get through two readers whose holds overlap without a gap.
std::vector<cell> overlapping_readers(const conditions& when);

// A lock of its own cache lines.
template <class L>
struct alignas(128) apart {
  L lock;
};

template <class L>
std::unique_ptr<apart<L>> make_lock() {
  return std::make_unique<apart<L>>();
}

}  // namespace memhp::bench
