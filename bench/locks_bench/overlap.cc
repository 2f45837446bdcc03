// Does a writer get through readers who hold 5 us each, one always before the other is
// done? Three threads on two CPUs, so the writer takes its CPU from a reader.
#include <algorithm>

#include "bench/locks_bench/all_locks.h"
#include "bench/locks_bench/measure.h"
#include "bench/locks_bench/questions.h"

namespace memhp::bench {
namespace {

constexpr double hold_ns = 5'000;
constexpr auto pause_between_writes = std::chrono::microseconds{100};

template <excluding L>
void read_without_a_gap(L& lock, const std::atomic<bool>& stop) {
  typename L::session mine{lock};
  while (!stop.load(std::memory_order_relaxed)) {
    lock.read_lock(mine);
    const double end = now_ns() + hold_ns;
    while (now_ns() < end) compiler_barrier();
    lock.read_unlock(mine);
  }
}

struct writer_figures {
  double writes = 0;
  double longest_wait_ns = 0;
  double seconds = 0;
};

template <excluding L>
writer_figures write_among_them(L& lock, const std::atomic<bool>& stop) {
  typename L::session mine{lock};
  writer_figures figures;
  const double begin = now_ns();
  do {
    const double start = now_ns();
    lock.write_lock(mine);
    figures.longest_wait_ns = std::max(figures.longest_wait_ns, now_ns() - start);
    lock.write_unlock(mine);
    figures.writes += 1;
    std::this_thread::sleep_for(pause_between_writes);
  } while (!stop.load(std::memory_order_relaxed));
  figures.seconds = (now_ns() - begin) / 1e9;
  return figures;
}

template <excluding L>
std::vector<double> measure(const conditions& when, const placement& where) {
  const auto owned = make_lock<L>();
  writer_figures figures;
  team_rate(where.cpus, 3, when.overlapping,
            [&](unsigned index, const std::atomic<bool>& stop) -> std::uint64_t {
              if (index < 2) {
                read_without_a_gap(owned->lock, stop);
              } else {
                unpin_this_thread();
                figures = write_among_them(owned->lock, stop);
              }
              return 0;
            });
  return {figures.writes / figures.seconds, figures.longest_wait_ns / 1e3};
}

}  // namespace

std::vector<cell> overlapping_readers(const conditions& when) {
  std::vector<cell> cells;
  for (const placement& where : when.ways) {
    if (where.cpus.size() < 2) continue;
    for_each_lock([&]<class L>() {
      if constexpr (excluding<L>)
        cells.push_back({.question = overlap_question,
                         .lock = std::string{L::name},
                         .placement = where.name,
                         .threads = 3,
                         .columns = {{"writes", "1/s"}, {"longest wait", "us"}},
                         .run = [&when, &where] { return measure<L>(when, where); }});
    });
  }
  return cells;
}

}  // namespace memhp::bench
