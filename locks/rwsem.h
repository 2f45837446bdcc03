// rw_semaphore: a sleeping reader/writer lock for structures that change now and then.
// Readers share one cache line; for data that is read on every CPU all the time take
// percpu_rw_semaphore.
//
// Thread safety: any thread, under these rules:
//   1. a holder must not take it again, in either mode: a writer may have queued in
//      between, and both would wait for each other;
//   2. a reader's hold may be released by another thread, a writer's too, as long as the
//      threads hand it over with some synchronization of their own; ThreadSanitizer
//      wants to be told (locks/tsan.h).
// Fair: who finds the lock taken spins a little and then queues, and the queue is served
// in the order of arrival, a run of readers at its head together. To hand the lock over
// at each release would cost two switches each time, so the head is first called and
// competes with newcomers; if it finds the lock taken, it is promised to it: nobody
// passes any more, and the next release hands it over. So a waiter is passed only for as
// long as a wake-up takes, once, and neither readers nor writers starve.
//
// Invariants:
//   1. state_ is one word: readers * reader + flags + writer. It changes by read-modify-
//      write operations only, so every release heads a release sequence that all later
//      acquires read from, whoever grants the lock to whom.
//   2. The flags change with queue_lock_ held only. `queued`: the queue has entries.
//      `called`: its head was called and has not looked yet. `handoff`: the lock is
//      promised to the head. Only grant() makes somebody of the queue a holder.
//   3. A reader counts itself in first and looks afterwards; if it may not enter it
//      counts itself out with queue_lock_ held, and then does what one who leaves does.
//      So a count that stood in somebody's way is always followed by a look.
//   4. While the queue has entries, the lock is held, or the head is called, or somebody
//      is between leaving and queue_lock_: the queue does not sleep beside a free lock.
//
// Errors: releasing what nobody holds, and destroying what is held or waited for, print
// a line and abort. They cost a compare beside a locked instruction. A release that is
// matched by another thread's hold is not noticed.
//
// Cost: one locked instruction each way without contention.
// Memory order: acquire and release; downgrade() is a release. A model of all orders of
// the steps finds what goes wrong without A, B or D (rwsem_model_test); C orders memory
// alone, and ThreadSanitizer finds what goes wrong without it.
//
// Satisfies SharedLockable: std::shared_lock, std::unique_lock and the guards work.
// Mirrors struct rw_semaphore (kernel include/linux/rwsem.h); the names there:
// down_read, down_read_trylock, up_read, down_write, down_write_trylock, up_write,
// downgrade_write.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "locks/lock_rule.h"
#include "locks/mutex.h"
#include "locks/thread_annotations.h"
#include "locks/tsan.h"

namespace memhp {

class CAPABILITY("rw_semaphore") rw_semaphore {
 public:
  constexpr rw_semaphore() = default;
  constexpr ~rw_semaphore() {
    if (std::is_constant_evaluated()) return;
    if (state_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      lock_rule_broken("destroyed while held or waited for", "rw_semaphore", this);
    tsan_destroyed(this);
  }
  rw_semaphore(const rw_semaphore&) = delete;
  rw_semaphore& operator=(const rw_semaphore&) = delete;

  void lock_shared() ACQUIRE_SHARED() {
    tsan_pre_lock(this, tsan_hold::read);
    const std::uint32_t before = state_.fetch_add(reader, std::memory_order_acquire);
    if ((before & (writer | handoff)) != 0) [[unlikely]]
      lock_shared_slow(before);
    tsan_post_lock(this, tsan_hold::read);
  }

  // Fails only while a writer holds it or it is promised to somebody.
  bool try_lock_shared() TRY_ACQUIRE_SHARED(true) {
    tsan_pre_try(this, tsan_hold::read);
    return tsan_post_try(this, take_shared(), tsan_hold::read);
  }

  void unlock_shared() RELEASE_SHARED() {
    tsan_pre_unlock(this, tsan_hold::read);
    const std::uint32_t before = state_.fetch_sub(reader, std::memory_order_release);
    if ((before & queued) != 0 || before < reader) [[unlikely]]
      unlock_shared_slow(before);
    tsan_post_unlock(this, tsan_hold::read);
  }

  void lock() ACQUIRE() {
    tsan_pre_lock(this);
    if (!take()) [[unlikely]]
      lock_slow();
    tsan_post_lock(this);
  }

  // Fails only while somebody holds it, or queues, or just looks whether it may read.
  bool try_lock() TRY_ACQUIRE(true) {
    tsan_pre_try(this);
    return tsan_post_try(this, take());
  }

  void unlock() RELEASE() {
    tsan_pre_unlock(this);
    const std::uint32_t before = state_.fetch_sub(writer, std::memory_order_release);
    if (before != writer) [[unlikely]]
      unlock_slow(before);
    tsan_post_unlock(this);
  }

  // Turns the caller's write hold into a read hold, without a moment in which another
  // writer could come in, and lets in the readers at the head of the queue.
  void downgrade() RELEASE() ACQUIRE_SHARED();

 private:
  enum : std::uint32_t { writer = 1, queued = 2, called = 4, handoff = 8, reader = 16 };
  struct waiter;
  // Whom to wake once queue_lock_ is free: the head's word, and a chain of new holders.
  struct wake_ups {
    waiter* granted = nullptr;
    const void* called = nullptr;
  };

  static bool is_free(std::uint32_t seen) {
    return (seen & ~std::uint32_t{queued | called | handoff}) == 0;
  }
  static bool may_enter(const waiter& who, std::uint32_t seen);

  bool take() {
    std::uint32_t expected = 0;
    return state_.compare_exchange_strong(expected, writer, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  bool take_shared();
  void lock_shared_slow(std::uint32_t before);
  void unlock_shared_slow(std::uint32_t before);
  void lock_slow();
  void unlock_slow(std::uint32_t before);
  void wait_in_queue(waiter& self, std::uint32_t counted_in);
  static std::uint32_t await_news(std::atomic<std::uint32_t>& word);
  bool compete(waiter& self);
  void left(std::uint32_t after);
  void serve_queue();
  wake_ups serve() REQUIRES(queue_lock_);
  wake_ups grant() REQUIRES(queue_lock_);
  static void wake(wake_ups due);

  std::atomic<std::uint32_t> state_ = 0;
  mutex queue_lock_;
  waiter* head_ GUARDED_BY(queue_lock_) = nullptr;
  waiter* tail_ GUARDED_BY(queue_lock_) = nullptr;
};

}  // namespace memhp
