#include "locks/futex.h"

#include <sched.h>

namespace memhp {

unsigned spin_limit() {
  // The affinity of the main thread: this one may be pinned. That it can change later is
  // not followed; it is a hint, either value is correct.
  static const unsigned limit = [] {
    constexpr unsigned tries = 8;
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(getpid(), sizeof(allowed), &allowed) != 0) return tries;
    return CPU_COUNT(&allowed) > 1 ? tries : 0U;
  }();
  return limit;
}

}  // namespace memhp
