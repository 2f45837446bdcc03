// What does a write cost that nobody contends? Locks that spare their readers the fence
// pay here, and how much depends on whether other CPUs run threads of this process.
#include <memory>

#include "bench/locks_bench/all_locks.h"
#include "bench/locks_bench/measure.h"
#include "bench/locks_bench/questions.h"

namespace memhp::bench {
namespace {

template <class L>
void write_once(L& lock, typename L::session& mine) {
  lock.write_lock(mine);
  compiler_barrier();
  lock.write_unlock(mine);
}

// The best case of writes: one after the other, nothing in between.
template <writable L>
double ns_per_write(const conditions& when, L& lock) {
  typename L::session mine{lock};
  const double start = now_ns();
  const double end = start + static_cast<double>(when.cell.count()) * 1e6;
  double now = start;
  std::uint64_t writes = 0;
  while (now < end) {
    for (int i = 0; i < 16; ++i) write_once(lock, mine);
    writes += 16;
    now = now_ns();
  }
  return (now - start) / static_cast<double>(writes);
}

// Writes that stand alone: between two, so many reads by the same thread that a lock
// that stays prepared for more writes has given up. Only the writes are timed.
template <writable L>
double ns_per_lone_write(const conditions& when, L& lock) {
  typename L::session mine{lock};
  std::vector<double> samples;
  const double end = now_ns() + static_cast<double>(when.cell.count()) * 1e6;
  do {
    if constexpr (readable<L>)
      for (int i = 0; i < 10'000; ++i) {
        lock.read_lock(mine);
        compiler_barrier();
        lock.read_unlock(mine);
      }
    const double start = now_ns();
    write_once(lock, mine);
    samples.push_back(now_ns() - start);
  } while (now_ns() < end);
  return median(samples);
}

enum class others : std::uint8_t { asleep, busy, burst };

template <writable L>
std::vector<double> measure(const conditions& when, const placement& where, others are) {
  const auto owned = make_lock<L>();
  pin_this_thread(where.cpus[0]);
  std::unique_ptr<busy_cpu> other;
  if (are != others::asleep) other = std::make_unique<busy_cpu>(where.cpus[1]);
  std::vector<double> figures;
  if constexpr (bursting<L>) {
    if (are == others::burst) {
      const typename L::burst scope{owned->lock};
      figures = {ns_per_write(when, owned->lock)};
    }
  }
  if (figures.empty())
    figures = {ns_per_write(when, owned->lock), ns_per_lone_write(when, owned->lock)};
  unpin_this_thread();
  return figures;
}

template <writable L>
cell make_cell(const conditions& when, const placement& where, others are,
               std::vector<cell::column> columns) {
  return {.question = write_pair_question,
          .lock = std::string{L::name},
          .placement = where.name,
          .threads = 1,
          .columns = std::move(columns),
          .run = [&when, &where, are] { return measure<L>(when, where, are); }};
}

}  // namespace

std::vector<cell> write_pair(const conditions& when) {
  std::vector<cell> cells;
  for_each_lock([&]<class L>() {
    if constexpr (writable<L>) {
      cells.push_back(make_cell<L>(
          when, when.all(), others::asleep,
          {{"in a row, others asleep", "ns"}, {"alone, others asleep", "ns"}}));
      for (const placement& where : when.ways) {
        if (where.cpus.size() < 2) continue;
        cells.push_back(
            make_cell<L>(when, where, others::busy,
                         {{"in a row, other busy", "ns"}, {"alone, other busy", "ns"}}));
        if constexpr (bursting<L>)
          cells.push_back(
              make_cell<L>(when, where, others::burst, {{"burst, other busy", "ns"}}));
      }
    }
  });
  return cells;
}

}  // namespace memhp::bench
