// mutex: a sleeping lock for one thread at a time, in 4 bytes.
//
// Thread safety: any thread, under these rules:
//   1. the thread that locked it unlocks it;
//   2. a holder must not lock it again: it would wait for itself (lockdep, through
//      tracked_mutex, reports it; this class does not know its holder).
// Not fair: a thread that comes by while the lock is free takes it, also past sleepers,
// as with std::mutex; a lock that is handed over to sleepers in turn would cost two
// switches each time. Where order matters take rw_semaphore.
//
// Errors: unlocking what nobody holds and destroying what somebody holds print a line
// and abort. Both cost nothing on the fast paths; unlocking another thread's hold is not
// noticed. The check in the destructor makes a static mutex one that is destroyed at
// exit: give it static storage without destruction if a thread may outlive exit().
//
// Cost: one locked instruction each way without contention. With it, a spin of some
// hundred nanoseconds before the thread sleeps.
//
// Memory order: lock() is an acquire, unlock() a release; what the holders did is seen
// by the next, nothing more. ThreadSanitizer is told (locks/tsan.h).
//
// Satisfies Lockable: std::lock_guard, std::unique_lock and guard work.
// Mirrors struct mutex (kernel include/linux/mutex.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "locks/lock_rule.h"
#include "locks/thread_annotations.h"
#include "locks/tsan.h"

namespace memhp {

class CAPABILITY("mutex") mutex {
 public:
  constexpr mutex() = default;
  constexpr ~mutex() {
    if (std::is_constant_evaluated()) return;
    if (state_.load(std::memory_order_relaxed) != unlocked) [[unlikely]]
      lock_rule_broken("destroyed while held", "mutex", this);
    tsan_destroyed(this);
  }
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  // Waits, uninterruptibly, until the lock is free.
  void lock() ACQUIRE() {
    tsan_pre_lock(this);
    if (!take()) [[unlikely]]
      lock_slow();
    tsan_post_lock(this);
  }

  // Takes the lock if it is free now. Never fails without reason.
  bool try_lock() TRY_ACQUIRE(true) {
    tsan_pre_try(this);
    return tsan_post_try(this, take());
  }

  void unlock() RELEASE() {
    tsan_pre_unlock(this);
    const std::uint32_t before = state_.exchange(unlocked, std::memory_order_release);
    if (before != locked) [[unlikely]]
      unlock_slow(before);
    tsan_post_unlock(this);
  }

 private:
  // The word that sleepers sleep on. `contended` means that somebody may sleep: set by
  // everyone before sleeping (and by everyone who slept, when he takes the lock, since
  // he cannot know whether he was the last), it obliges the one who unlocks to wake.
  enum : std::uint32_t { unlocked = 0, locked = 1, contended = 2 };

  bool take() {
    std::uint32_t expected = unlocked;
    return state_.compare_exchange_strong(expected, locked, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  void lock_slow();
  void unlock_slow(std::uint32_t before);

  std::atomic<std::uint32_t> state_ = unlocked;
};

}  // namespace memhp
