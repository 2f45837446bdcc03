// The nests of lockdep_bench over std::mutex, compiled with -fsanitize=thread: whether
// its deadlock detector is on is said by TSAN_OPTIONS=detect_deadlocks=0|1, which
// lockdep_bench sets.
//
//   lockdep_bench_tsan DEPTH THREADS MILLISECONDS      prints ns per lock and unlock
#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "bench/lockdep_bench/nest.h"
#include "bench/locks_bench/topology.h"

namespace {

struct std_mutexes {
  void take(unsigned level) { locks[level].lock(); }
  void give(unsigned level) { locks[level].unlock(); }
  std::array<std::mutex, memhp::bench::deepest> locks;
};

unsigned argument(const char* text) {
  return static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

}  // namespace

int main(int argc, char** argv) {
  using namespace memhp::bench;
  if (argc != 4) return 2;
  const auto cpus = placements(detect_topology("/sys")).front().cpus;
  const unsigned depth = std::clamp(argument(argv[1]), 1U, deepest);
  fmt::print("{}\n",
             ns_per_pair<std_mutexes>(cpus, std::max(argument(argv[2]), 1U), depth,
                                      std::chrono::milliseconds{argument(argv[3])}));
}
