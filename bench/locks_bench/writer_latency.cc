// How long does a writer wait who comes every 20 us while a reader hammers?
#include <memory>

#include "bench/locks_bench/all_locks.h"
#include "bench/locks_bench/measure.h"
#include "bench/locks_bench/questions.h"

namespace memhp::bench {
namespace {

constexpr double period_ns = 20'000;

template <writable L>
std::uint64_t write_now_and_then(L& lock, const std::atomic<bool>& stop,
                                 std::vector<double>& waits) {
  typename L::session mine{lock};
  double next = now_ns() + period_ns;
  do {
    while (now_ns() < next) compiler_barrier();
    const double start = now_ns();
    lock.write_lock(mine);
    double locked = now_ns();
    lock.write_unlock(mine);
    if constexpr (L::part == role::read_side) locked = now_ns();  // the grace period
    waits.push_back(locked - start);
    next = now_ns() + period_ns;
  } while (!stop.load(std::memory_order_relaxed));
  return 0;
}

template <class L>
std::uint64_t hammer(L& lock, const std::atomic<bool>& stop) {
  typename L::session mine{lock};
  std::uint64_t pairs = 0;
  do {
    if constexpr (readable<L>) {
      lock.read_lock(mine);
      compiler_barrier();
      lock.read_unlock(mine);
    }
    ++pairs;
  } while (!stop.load(std::memory_order_relaxed));
  return pairs;
}

template <writable L>
std::vector<double> measure(const conditions& when, const placement& where) {
  const auto owned = make_lock<L>();
  std::vector<double> waits;
  const double rate = team_rate(
      where.cpus, 2, when.cell, [&](unsigned index, const std::atomic<bool>& stop) {
        return index == 0 ? write_now_and_then(owned->lock, stop, waits)
                          : hammer(owned->lock, stop);
      });
  return {percentile(waits, 0.5), percentile(waits, 0.99), rate * 1e3};
}

}  // namespace

std::vector<cell> writer_latency(const conditions& when) {
  std::vector<cell> cells;
  for (const placement& where : when.ways) {
    if (where.cpus.size() < 2) continue;
    for_each_lock([&]<class L>() {
      if constexpr (writable<L>)
        cells.push_back(
            {.question = latency_question,
             .lock = std::string{L::name},
             .placement = where.name,
             .threads = 2,
             .columns = {{"p50", "ns"}, {"p99", "ns"}, {"reader meanwhile", "Mops/s"}},
             .run = [&when, &where] { return measure<L>(when, where); }});
    });
  }
  return cells;
}

}  // namespace memhp::bench
