#include "locks/membarrier.h"

#include <dirent.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>

#include "locks/lock_rule.h"
#include "locks/tsan.h"

namespace memhp {
namespace {

// How many of the ways below a test wants refused.
std::atomic<int> refused = 0;

bool call(int command) {
  return syscall(SYS_membarrier, command, 0, 0) == 0;
}

using clock = std::chrono::steady_clock;

#if !defined(MEMHP_TSAN)  // which has no fences, and no lock that runs a barrier
// What a fence adds to a reader that counts itself in and out, in ps: from under 1 ns to
// 10, depending on how much of it the processor hides. The least of some tries, for
// others may take the CPU away.
std::uint64_t time_fence() {
  constexpr int reads = 64;
  std::atomic<std::uint64_t> in = 0;
  std::atomic<std::uint64_t> out = 0;
  std::atomic<std::uint64_t> gate = 0;
  const auto count = [](std::atomic<std::uint64_t>& word) {
    word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  };
  const auto least = [&](auto between) {
    auto took = clock::duration::max();
    for (int turn = 0; turn < 8; ++turn) {
      const auto start = clock::now();
      for (int read = 0; read < reads; ++read) {
        count(in);
        between();
        if (gate.load(std::memory_order_acquire) == 0) count(out);
      }
      took = std::min(took, clock::now() - start);
    }
    return std::chrono::nanoseconds{took}.count();
  };
  const auto with = least([] { std::atomic_thread_fence(std::memory_order_seq_cst); });
  const auto without = least([] { std::atomic_signal_fence(std::memory_order_seq_cst); });
  return static_cast<std::uint64_t>(std::max(1000 * (with - without) / reads, 500L));
}
#endif

// Set before the first barrier. Not a static of a function: a signal handler that reads
// may come while it is made.
std::atomic<std::uint64_t> fence_ps = 7000;

bool register_once() {
#if !defined(MEMHP_TSAN)
  fence_ps.store(time_fence(), std::memory_order_relaxed);
#endif
  // To see what a process without it does.
  if (std::getenv("MEMHP_LOCKS_NO_MEMBARRIER") != nullptr) return false;
  const long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  return known > 0 && (known & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
         call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

std::atomic<bool>& usable() {
  static std::atomic<bool> known = register_once();
  return known;
}

// The CPUs that the threads of this process may run on. A thread that comes later, or is
// moved meanwhile, passes a context switch after the caller's stores, which is as good.
bool cpus_of_all_threads(cpu_set_t& cpus) {
  CPU_ZERO(&cpus);
  DIR* const threads = opendir("/proc/self/task");
  if (threads == nullptr) return false;
  bool known = true;
  while (const dirent* entry = readdir(threads)) {
    const pid_t thread = std::atoi(entry->d_name);
    if (thread == 0) continue;  // "." and ".."
    cpu_set_t its;
    if (sched_getaffinity(thread, sizeof its, &its) == 0)
      CPU_OR(&cpus, &cpus, &its);
    else if (errno != ESRCH)  // it has ended, and so have its reads
      known = false;
  }
  closedir(threads);
  return known;
}

// A thread that gets onto a CPU makes whoever ran there pass a barrier, because it is
// switched out. Our own affinity does not count: readers may be pinned elsewhere.
bool visit_every_cpu() {
  cpu_set_t before;
  cpu_set_t needed;
  if (sched_getaffinity(0, sizeof before, &before) != 0 || !cpus_of_all_threads(needed))
    return false;
  bool visited = true;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    // Also those that nobody seems to need; they may be refused.
    if (sched_setaffinity(0, sizeof one, &one) != 0 && CPU_ISSET(cpu, &needed))
      visited = false;
  }
  return sched_setaffinity(0, sizeof before, &before) == 0 && visited;
}

// Where nothing is known yet: what it takes on most machines.
std::atomic<std::uint64_t> cost_ns = 2500;
std::atomic<unsigned> calls = 0;
constexpr unsigned calls_per_timing = 8;
constexpr std::uint64_t longest_believed_ns = 50'000;

bool call_and_sometimes_time_it() {
  if (calls.fetch_add(1, std::memory_order_relaxed) % calls_per_timing != 0)
    return call(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  const auto start = clock::now();
  if (!call(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) return false;
  const auto took = std::chrono::nanoseconds{clock::now() - start}.count();
  // A caller that lost its CPU meanwhile says nothing about barriers.
  const auto sample =
      std::clamp<std::uint64_t>(static_cast<std::uint64_t>(took), 1, longest_believed_ns);
  // A lost update between two callers is a sample less.
  const std::uint64_t before = cost_ns.load(std::memory_order_relaxed);
  cost_ns.store((3 * before + sample + 3) / 4, std::memory_order_relaxed);
  return true;
}

}  // namespace

std::uint64_t membarrier_cost_in_fences() {
  const std::uint64_t cost_ps = 1000 * cost_ns.load(std::memory_order_relaxed);
  return std::max<std::uint64_t>(cost_ps / fence_ps.load(std::memory_order_relaxed), 1);
}

bool membarrier_usable() {
  return usable().load(std::memory_order_relaxed);
}

void membarrier_all_threads() {
  const int refuse = refused.load(std::memory_order_relaxed);
  if (refuse < 1 && call_and_sometimes_time_it()) [[likely]]
    return;
  usable().store(false, std::memory_order_relaxed);
  if (refuse < 2 && call(MEMBARRIER_CMD_GLOBAL)) return;
  if (refuse < 3 && visit_every_cpu()) return;
  lock_rule_broken("no memory barrier on other CPUs: membarrier(2) is refused",
                   "percpu_rw_semaphore", nullptr);
}

void refuse_membarrier_for_test(int count) {
  refused.store(count, std::memory_order_relaxed);
  if (count == 0) usable().store(register_once(), std::memory_order_relaxed);
}

}  // namespace memhp
