#include "locks/mutex.h"

#include "locks/blocked_tasks.h"
#include "locks/futex.h"

namespace memhp {

void mutex::lock_slow() {
  // While nobody sleeps the holder is likely to be quick; behind sleepers a spin would
  // only take CPU time from the ones who are next.
  bool asleep = false;
  const bool taken = spin_until([&] {
    const std::uint32_t seen = state_.load(std::memory_order_relaxed);
    asleep = seen == contended;
    return asleep || (seen == unlocked && take());
  });
  if (taken && !asleep) return;

  // A pairs with B in unlock_slow(): the word says `contended` before we sleep on that
  // value. Marking it `locked` here would let the holder leave without a wake-up, and
  // whoever sleeps behind us would sleep for ever.
  while (state_.exchange(contended, std::memory_order_acquire) != unlocked)
    blocked_tasks::sleep_on(&state_, contended);
}

void mutex::unlock_slow(std::uint32_t before) {
  if (before == unlocked) lock_rule_broken("unlock of what is not held", "mutex", this);
  // B: the exchange in unlock() came first, so the one who is woken finds it free, and
  // one who is about to sleep finds that the value has changed.
  futex_wake(&state_, 1);
}

}  // namespace memhp
