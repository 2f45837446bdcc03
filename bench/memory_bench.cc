// What does it cost to give a block of 128 MiB real pages and to take them back,
// compared with a memset of as much warm memory?
//
//   memory_bench                                     all of it
//   memory_bench --benchmark_filter=block            what the machine does
//   memory_bench --benchmark_filter=way              why: the ways it chose from
//
// Every round does memset, give, touch and take back in turn, so that all of them see
// the same machine; the figures are medians over the rounds, and the ratios are between
// medians of one run. hugetlb is left out unless the pool has the pages
// (sysctl vm.nr_hugepages=64).
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "blocks/backing.h"
#include "blocks/mapped_memory.h"

namespace {

using namespace memhp;

constexpr std::uint64_t block_size = 128 * MiB;
constexpr int rounds = 41;

// A sorted sample of milliseconds.
class sample {
 public:
  // Runs `what` and keeps how long it took, which is also returned in seconds.
  template <class What>
  double time(const What& what) {
    const auto start = std::chrono::steady_clock::now();
    what();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    values_.push_back(took.count() * 1e3);
    return took.count();
  }
  // The first round warms up: the host may not have given this machine the pages yet.
  void drop() { values_.clear(); }
  double quantile(double q) const {
    auto sorted = values_;
    std::ranges::sort(sorted);
    return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
  }
  double median() const { return quantile(0.5); }

 private:
  std::vector<double> values_;
};

// 128 MiB of warm huge pages, for the memset that all is compared with.
std::byte* warm_memory() {
  static std::byte* const memory = [] {
    void* const at = mmap(nullptr, block_size + 2 * MiB, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const auto up = -reinterpret_cast<std::uintptr_t>(at) & (2 * MiB - 1);
    std::byte* const aligned = static_cast<std::byte*>(at) + up;
    madvise(aligned, block_size, MADV_HUGEPAGE);
    memset(aligned, 1, block_size);
    return aligned;
  }();
  return memory;
}

struct samples {
  sample memset, give, touch, take;
  void drop() {
    for (auto* part : {&memset, &give, &touch, &take}) part->drop();
  }
};

void report(benchmark::State& state, const samples& taken) {
  const double unit = taken.memset.median();
  state.counters["memset_ms"] = unit;
  state.counters["give_ms"] = taken.give.median();
  state.counters["give_p10"] = taken.give.quantile(0.1);
  state.counters["give_p90"] = taken.give.quantile(0.9);
  state.counters["give_x"] = taken.give.median() / unit;
  state.counters["touch_ms"] = taken.touch.median();
  state.counters["take_ms"] = taken.take.median();
  state.counters["take_p90"] = taken.take.quantile(0.9);
  state.counters["take_%"] = 100 * taken.take.median() / unit;
}

// One round: memset, give, first touch of everything, take back.
template <class Give, class Take>
void measure(benchmark::State& state, std::byte* block, const Give& give,
             const Take& take) {
  samples taken;
  int value = 0;
  bool given = true;
  const auto round = [&] {
    taken.memset.time([&] { memset(warm_memory(), ++value, block_size); });
    const double seconds = taken.give.time([&] { given = given && give(); });
    if (!given) return 0.0;
    taken.touch.time([&] { memset(block, ++value, block_size); });
    taken.take.time(take);
    return seconds;
  };
  round();
  taken.drop();
  for (auto _ : state) {
    if (given) state.SetIterationTime(round());
  }
  if (given) {
    report(state, taken);
  } else {
    state.SkipWithError("the host has not enough memory");
  }
}

// What the machine does when a block goes online and offline.
void block(benchmark::State& state, backing_kind kind) {
  const auto threads = static_cast<unsigned>(state.range(0));
  auto made = mapped_memory::create({.backing = kind, .threads = threads});
  if (!made) return state.SkipWithError(made.error().c_str());
  mapped_memory& memory = **made;
  const phys_range range = {.start = {4 * GiB}, .size = block_size};
  measure(
      state, memory.address(range.start), [&] { return bool{memory.populate(range, 0)}; },
      [&] { memory.depopulate(range); });
}

// Runs `part(offset, size)` on equal shares of a block.
template <class Part>
bool in_parallel(unsigned threads, const Part& part) {
  const std::uint64_t share = block_size / threads;
  std::vector<char> done(threads, 0);
  const auto run = [&](unsigned i) { done[i] = bool{part(i * share, share)} ? 1 : 0; };
  {
    std::vector<std::jthread> helpers(threads - 1);
    for (unsigned i = 1; i < threads; ++i) helpers[i - 1] = std::jthread{run, i};
    run(0);
  }
  return std::ranges::all_of(done, [](char ok) { return ok != 0; });
}

// The two ways to give a mapped file pages, on any number of threads.
void way(benchmark::State& state, backing_kind kind, bool populate) {
  const auto threads = static_cast<unsigned>(state.range(0));
  host_memory& host = this_host();
  const auto opened = open_backing(kind, block_size, block_size, host);
  if (!opened) return state.SkipWithError(opened.error().c_str());
  const int file = opened->file.get();
  // Huge pages want an aligned address.
  void* const place = mmap(nullptr, block_size + 2 * MiB, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  auto* const at = static_cast<std::byte*>(place) +
                   (-reinterpret_cast<std::uintptr_t>(place) & (2 * MiB - 1));
  const auto map = [at](int access, int flags, int from) {
    return mmap(at, block_size, access, flags | MAP_FIXED | MAP_NORESERVE, from, 0) !=
           MAP_FAILED;
  };
  const auto give = [&] {
    return map(PROT_READ | PROT_WRITE, MAP_SHARED, file) &&
           in_parallel(threads, [&](std::uint64_t offset, std::uint64_t size) {
             return populate ? host.populate(at + offset, size)
                             : host.allocate(file, offset, size);
           });
  };
  measure(state, at, give, [&] {
    if (!map(PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1)) std::abort();
    fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, block_size);
  });
  munmap(place, block_size + 2 * MiB);
}

void each(benchmark::internal::Benchmark* what) {
  what->ArgName("threads")->Arg(1)->Arg(2)->UseManualTime()->Iterations(rounds)->Unit(
      benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(block, hugetlb, backing_kind::hugetlb)->Apply(each);
BENCHMARK_CAPTURE(block, thp, backing_kind::thp)->Apply(each);
BENCHMARK_CAPTURE(block, small, backing_kind::small)->Apply(each);
BENCHMARK_CAPTURE(way, fallocate_hugetlb, backing_kind::hugetlb, false)->Apply(each);
BENCHMARK_CAPTURE(way, populate_hugetlb, backing_kind::hugetlb, true)->Apply(each);
BENCHMARK_CAPTURE(way, fallocate_thp, backing_kind::thp, false)->Apply(each);
BENCHMARK_CAPTURE(way, populate_thp, backing_kind::thp, true)->Apply(each);
BENCHMARK_CAPTURE(way, fallocate_small, backing_kind::small, false)->Apply(each);
BENCHMARK_CAPTURE(way, populate_small, backing_kind::small, true)->Apply(each);

}  // namespace

BENCHMARK_MAIN();
