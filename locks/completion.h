// completion: one thread waits until another says that something is done.
//
// Each complete() lets one wait() through, before or after it; complete_all() lets all
// through, those to come included, until reinit().
//
// Thread safety: any thread may call any member, except that nobody may wait or complete
// during reinit(), and that the object may be destroyed only when nobody waits. It MAY be
// destroyed as soon as the last wait() has returned, although the thread that completed
// it may still be inside complete(): after the step that lets the waiter through that
// thread uses the address only, not the memory. So it can live on the waiter's stack.
//
// Errors: destroying what somebody waits for prints a line and aborts. More than 2^32 - 2
// completions that nobody waited for are as many as complete_all().
//
// Cost: complete() and a wait() that need not sleep, one locked instruction each.
// Memory order: what happens before complete() happens before the return of the wait()
// that it lets through.
//
// Mirrors struct completion (kernel include/linux/completion.h); the names there:
// complete, complete_all, wait_for_completion, try_wait_for_completion,
// wait_for_completion_timeout, completion_done, reinit_completion.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <type_traits>

#include "locks/lock_rule.h"

namespace memhp {

class completion {
 public:
  constexpr completion() = default;
  constexpr ~completion() {
    if (!std::is_constant_evaluated() &&
        (state_.load(std::memory_order_relaxed) & sleepers) != 0) [[unlikely]]
      lock_rule_broken("destroyed while waited for", "completion", this);
  }
  completion(const completion&) = delete;
  completion& operator=(const completion&) = delete;

  void complete();
  void complete_all();

  // Waits, uninterruptibly, for one complete(), or for complete_all().
  void wait();
  // True if it need not wait.
  bool try_wait();
  // False if nothing was completed before `deadline`. A completion that comes at the
  // deadline is either taken, or left for the next.
  bool wait_until(std::chrono::steady_clock::time_point deadline);
  bool wait_for(std::chrono::steady_clock::duration timeout) {
    return wait_until(std::chrono::steady_clock::now() + timeout);
  }

  // True if a wait() would return at once; by the time one reads it another may have.
  bool done() const { return (state_.load(std::memory_order_relaxed) & all) != 0; }

  // Forgets every completion so far.
  void reinit();

 private:
  // state_ = completions not waited for (low half; `all` is complete_all()) + sleepers
  // (high half). One word, so that complete() learns whether it must wake in the same
  // step that lets the waiter through.
  static constexpr std::uint64_t one = 1;
  static constexpr std::uint64_t all = 0xffff'ffff;
  static constexpr std::uint64_t sleeper = std::uint64_t{1} << 32;
  static constexpr std::uint64_t sleepers = ~all;

  bool take(std::uint64_t registered);
  bool wait(const std::chrono::steady_clock::time_point* deadline);
  const void* completions() const;

  std::atomic<std::uint64_t> state_ = 0;
};

}  // namespace memhp
