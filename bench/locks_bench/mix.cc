// How much do threads get done that read mostly and write sometimes, or only write? With
// empty sections a lock is all that there is; with 100 turns of a loop there is something
// to protect. And what of that is a read and what a write?
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "bench/locks_bench/all_locks.h"
#include "bench/locks_bench/measure.h"
#include "bench/locks_bench/questions.h"

namespace memhp::bench {
namespace {

struct blend {
  const char* name;
  std::uint64_t writes_in_a_thousand;
  unsigned section_turns;
};
constexpr std::array blends{blend{"99:1", 10, 0},
                            blend{"99.9:0.1", 1, 0},
                            blend{"99:1, 100 turns", 10, 100},
                            blend{"99.9:0.1, 100 turns", 1, 100},
                            blend{"writes only", 1000, 0},
                            blend{"writes only, 100 turns", 1000, 100}};

// xorshift64: cheap, and different for every thread.
class coin {
 public:
  explicit coin(unsigned seed) : state_{0x9e3779b97f4a7c15 * (seed + 1)} {}
  bool falls_on(std::uint64_t in_a_thousand) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (state_ >> 32) * 1000 >> 32 < in_a_thousand;
  }

 private:
  std::uint64_t state_;
};

void section(unsigned turns) {
  for (unsigned turn = 0; turn < turns; ++turn) compiler_barrier();
}

template <excluding L>
std::uint64_t mostly_read(L& lock, const std::atomic<bool>& stop, coin thrown,
                          const blend& of) {
  typename L::session mine{lock};
  std::uint64_t operations = 0;
  do {
    if (thrown.falls_on(of.writes_in_a_thousand)) {
      lock.write_lock(mine);
      section(of.section_turns);
      lock.write_unlock(mine);
    } else {
      lock.read_lock(mine);
      section(of.section_turns);
      lock.read_unlock(mine);
    }
    ++operations;
  } while (!stop.load(std::memory_order_relaxed));
  return operations;
}

template <excluding L>
std::vector<double> measure(const conditions& when, const placement& where,
                            unsigned threads, const blend& of) {
  const auto owned = make_lock<L>();
  return {1e3 * team_rate(where.cpus, threads, when.cell,
                          [&](unsigned index, const std::atomic<bool>& stop) {
                            return mostly_read(owned->lock, stop, coin{index}, of);
                          })};
}

// Who only writes also meets more threads than CPUs: then it matters who sleeps when.
std::set<unsigned> team_sizes(const blend& of, const placement& where) {
  const auto cpus = static_cast<unsigned>(where.cpus.size());
  std::set sizes{2U, cpus};
  if (of.writes_in_a_thousand == 1000) sizes.insert(2 * cpus);
  return sizes;
}

// What the threads of a mix have done, and how long the writes took of it.
struct parts {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  double ns = 0;
  double ns_writing = 0;

  parts& operator+=(const parts& other) {
    reads += other.reads;
    writes += other.writes;
    ns += other.ns;
    ns_writing += other.ns_writing;
    return *this;
  }
};

template <excluding L>
parts mostly_read_apart(L& lock, const std::atomic<bool>& stop, coin thrown,
                        const blend& of) {
  typename L::session mine{lock};
  parts done;
  const double start = now_ns();
  do {
    if (thrown.falls_on(of.writes_in_a_thousand)) {
      const double before = now_ns();
      lock.write_lock(mine);
      compiler_barrier();
      lock.write_unlock(mine);
      done.ns_writing += now_ns() - before;
      ++done.writes;
    } else {
      lock.read_lock(mine);
      compiler_barrier();
      lock.read_unlock(mine);
      ++done.reads;
    }
  } while (!stop.load(std::memory_order_relaxed));
  done.ns = now_ns() - start;
  return done;
}

// What reading the clock takes.
double clock_ns() {
  std::vector<double> samples;
  for (int i = 0; i < 1000; ++i) {
    const double before = now_ns();
    samples.push_back(now_ns() - before);
  }
  return median(samples);
}

// ns of a read, waiting for writers included, and of a write.
template <excluding L>
std::vector<double> measure_apart(const conditions& when, const placement& where,
                                  const blend& of) {
  const auto owned = make_lock<L>();
  std::array<parts, 2> each;
  team_rate(where.cpus, 2, when.cell, [&](unsigned index, const std::atomic<bool>& stop) {
    each[index] = mostly_read_apart(owned->lock, stop, coin{index}, of);
    return each[index].reads;
  });
  parts both = each[0];
  both += each[1];
  const double clock = clock_ns();
  const auto writes = static_cast<double>(std::max<std::uint64_t>(both.writes, 1));
  const double reading = both.ns - both.ns_writing - clock * writes;
  return {reading / static_cast<double>(both.reads), both.ns_writing / writes - clock};
}

std::string label(const blend& of, unsigned threads) {
  return fmt::format("{}, {} threads", of.name, threads);
}

}  // namespace

std::vector<cell> mixes(const conditions& when) {
  std::vector<cell> cells;
  for (const placement& where : when.ways) {
    if (where.cpus.size() < 2) continue;
    for (const blend& of : blends)
      for (const unsigned threads : team_sizes(of, where))
        for_each_lock([&]<class L>() {
          if constexpr (excluding<L>)
            cells.push_back({.question = mix_question,
                             .lock = std::string{L::name},
                             .placement = where.name,
                             .threads = threads,
                             .columns = {{label(of, threads), "Mops/s"}},
                             .run = [&when, &where, &of, threads] {
                               return measure<L>(when, where, threads, of);
                             }});
        });
  }
  return cells;
}

std::vector<cell> mixes_apart(const conditions& when) {
  std::vector<cell> cells;
  for (const placement& where : when.ways) {
    if (where.cpus.size() < 2) continue;
    for (const blend& of : std::span{blends}.first(2))  // those with empty sections
      for_each_lock([&]<class L>() {
        if constexpr (excluding<L>)
          cells.push_back({.question = mix_apart_question,
                           .lock = std::string{L::name},
                           .placement = where.name,
                           .threads = 2,
                           .columns = {{fmt::format("{}, a read", of.name), "ns"},
                                       {fmt::format("{}, a write", of.name), "ns"}},
                           .run = [&when, &where, &of] {
                             return measure_apart<L>(when, where, of);
                           }});
      });
  }
  return cells;
}

}  // namespace memhp::bench
