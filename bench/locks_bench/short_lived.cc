// What does a lock cost a thread that lives for one read? Some locks register threads;
// the row of the empty loop is the thread alone.
#include "bench/locks_bench/all_locks.h"
#include "bench/locks_bench/measure.h"
#include "bench/locks_bench/questions.h"

namespace memhp::bench {
namespace {

template <readable L>
double us_per_thread(const conditions& when) {
  const auto owned = make_lock<L>();
  const double start = now_ns();
  const double end = start + static_cast<double>(when.cell.count()) * 1e6;
  unsigned threads = 0;
  do {
    std::jthread{[&] {
      typename L::session mine{owned->lock};
      owned->lock.read_lock(mine);
      compiler_barrier();
      owned->lock.read_unlock(mine);
    }}.join();
    ++threads;
  } while (now_ns() < end);
  return (now_ns() - start) / threads / 1e3;
}

}  // namespace

std::vector<cell> short_lived(const conditions& when) {
  std::vector<cell> cells;
  for_each_lock([&]<class L>() {
    if constexpr (readable<L>)
      cells.push_back({.question = short_lived_question,
                       .lock = std::string{L::name},
                       .placement = when.all().name,
                       .threads = 1,
                       .columns = {{"one read", "us"}},
                       .run = [&when] { return std::vector{us_per_thread<L>(when)}; }});
  });
  return cells;
}

}  // namespace memhp::bench
