#include "locks/futex.h"

#include <sched.h>

#include <cstdlib>

namespace memhp {

namespace {

// The CPUs that the main thread and this one may use, together: one of them may be
// pinned.
bool threads_have_several_cpus() {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (const pid_t thread : {getpid(), pid_t{0}}) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(thread, sizeof(allowed), &allowed) != 0) return true;
    CPU_OR(&all, &all, &allowed);
  }
  return CPU_COUNT(&all) > 1;
}

// To see who relies on a moment's spinning. Read at start: a signal handler may wait.
const bool never_spin = std::getenv("MEMHP_LOCKS_NO_SPIN") != nullptr;

}  // namespace

unsigned spin_limit() {
  constexpr unsigned tries = 8;
  // A no is not for ever: threads that each have a CPU of their own come later. A yes is;
  // it is a hint, either value is correct.
  constexpr unsigned calls_per_look = 64;
  static std::atomic<bool> several = false;
  thread_local unsigned calls = 0;
  if (several.load(std::memory_order_relaxed)) return tries;
  if (never_spin) return 0;
  if (calls++ % calls_per_look != 0 || !threads_have_several_cpus()) return 0;
  several.store(true, std::memory_order_relaxed);
  return tries;
}

}  // namespace memhp
