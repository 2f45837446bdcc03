// Locks taken one inside the other and given back: what a validator has to watch.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>

#include "bench/locks_bench/measure.h"

namespace memhp::bench {

inline constexpr unsigned deepest = 4;

// ns of one lock and unlock, when each of `threads` threads nests `depth` locks again
// and again. Every thread has locks of its own (nobody waits), of the same classes.
// `Locks` has take(unsigned level) and give(unsigned level).
template <class Locks>
double ns_per_pair(std::span<const unsigned> cpus, unsigned threads, unsigned depth,
                   std::chrono::milliseconds how_long) {
  const double rate = team_rate(cpus, threads, how_long,
                                [depth](unsigned, const std::atomic<bool>& stop) {
                                  Locks locks;
                                  std::uint64_t nests = 0;
                                  do {
                                    for (unsigned turn = 0; turn < 64; ++turn) {
                                      for (unsigned level = 0; level < depth; ++level)
                                        locks.take(level);
                                      compiler_barrier();
                                      for (unsigned level = depth; level-- > 0;)
                                        locks.give(level);
                                    }
                                    nests += 64;
                                  } while (!stop.load(std::memory_order_relaxed));
                                  return nests * depth;
                                });
  return std::min(threads, static_cast<unsigned>(cpus.size())) / rate;
}

}  // namespace memhp::bench
