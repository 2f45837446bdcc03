// What does a read lock and unlock cost, on one thread, on two, on many?
#include <fmt/format.h>

#include <algorithm>

#include "bench/locks_bench/all_locks.h"
#include "bench/locks_bench/measure.h"
#include "bench/locks_bench/questions.h"

namespace memhp::bench {
namespace {

// Small enough to stop in time, large enough that looking at `stop` costs nothing.
constexpr unsigned batch = 256;

template <readable L>
std::uint64_t read_until(L& lock, const std::atomic<bool>& stop) {
  typename L::session mine{lock};
  std::uint64_t pairs = 0;
  do {
    for (unsigned i = 0; i < batch; ++i) {
      lock.read_lock(mine);
      compiler_barrier();
      lock.read_unlock(mine);
    }
    pairs += batch;
  } while (!stop.load(std::memory_order_relaxed));
  return pairs;
}

template <readable L>
double ns_per_pair(const conditions& when, const placement& where, unsigned threads) {
  const auto owned = make_lock<L>();
  const double rate = team_rate(where.cpus, threads, when.cell,
                                [&](unsigned, const std::atomic<bool>& stop) {
                                  return read_until(owned->lock, stop);
                                });
  // As one thread that has a CPU to itself sees it; where threads share CPUs, as a CPU.
  const auto cpus = static_cast<unsigned>(where.cpus.size());
  return std::min(threads, cpus) / rate;
}

// The powers of two, 3, and the multiples of the CPUs: enough for the curve.
std::vector<unsigned> sweep(unsigned cpus) {
  std::vector<unsigned> counts;
  for (unsigned threads = 1; threads <= 4 * cpus; ++threads) {
    const bool power = (threads & (threads - 1)) == 0;
    if (power || threads == 3 || threads % cpus == 0) counts.push_back(threads);
  }
  return counts;
}

std::string label(unsigned threads) {
  return fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
}

}  // namespace

std::vector<cell> read_pair(const conditions& when) {
  std::vector<cell> cells;
  for (const placement& where : when.ways)
    for (const unsigned threads : sweep(static_cast<unsigned>(where.cpus.size())))
      for_each_lock([&]<class L>() {
        if constexpr (readable<L>)
          cells.push_back({.question = read_pair_question,
                           .lock = std::string{L::name},
                           .placement = where.name,
                           .threads = threads,
                           .columns = {{label(threads), "ns"}},
                           .run = [&when, &where, threads] {
                             return std::vector{ns_per_pair<L>(when, where, threads)};
                           }});
      });
  return cells;
}

}  // namespace memhp::bench
