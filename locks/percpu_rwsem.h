// percpu_rw_semaphore: a reader/writer lock for data that is read on every CPU all the
// time and written hardly ever.
//
// A reader counts itself in on the CPU it runs on and looks whether a writer is there: no
// locked instruction, no line that another CPU writes. The writer pays instead: it closes
// the gate, makes every CPU pass a memory barrier, and waits until the counts say that no
// reader is left.
//
//   percpu_rw_semaphore lock;
//   { std::shared_lock reading{lock}; ... }      // or read_guard, for clang's analysis
//   { std::unique_lock writing{lock}; ... }
//   { percpu_rw_semaphore::burst many{lock}; ... }  // many writes: one barrier for all
//
// Thread safety: any thread, under these rules:
//   1. who holds it does not take it again, in any way: a writer may have come between,
//      and then two reads of one thread deadlock (lockdep reports it);
//   2. a hold may be given back by another thread, and on another CPU;
//   3. it is destroyed when every unlock has returned, not only when nobody holds it.
// Fairness: a writer closes the gate at once; who comes then watches it for a moment (64
// looks, once, and only while nobody queues), then queues in order of arrival.
// The one who unlocks hands over: a run of readers together, up to the first writer, who
// then waits for them. So nobody is passed by more than what stood before it, and writers
// back to back do not starve readers. Only who comes at the moment of an unlock, with
// nobody queued, may take the lock as it is.
//
// Invariants:
//   1. state_ is idle, fenced or blocked. idle -> blocked: the writer must run the
//      barrier, for readers only keep compiler order. fenced -> blocked: it need not, for
//      a reader that sees `fenced` runs a fence and looks again.
//   2. A scan adds up `released` first and `acquired` second. Whoever comes or goes
//      meanwhile can only make them differ, never agree while somebody reads.
//   3. state_ is `blocked` from a writer's success until it is handed to nobody; who is
//      handed the lock finds it so.
//   4. Who queues counts itself out first; who grants counts it in again.
//
// Cost: a read lock and unlock are 24 instructions of g++, 25 of clang; a write runs
// membarrier(2) (2 to 15 us where other CPUs run this process's threads) unless the lock
// is fenced. It is, in a burst, and after a write that came so soon that its readers
// would pay less for their fences than everybody for a barrier (it is timed), until the
// reads are worth one. Waiting spins a moment, then sleeps. Memory: 16 bytes per lock and
// CPU, plus this.
//
// Without restartable sequences (valgrind, gVisor, an old kernel) a reader counts in a
// row of its thread; without membarrier(2) the lock is always fenced. ThreadSanitizer
// gets both. Which it is, is decided once in a process.
//
// fork(): in the child every lock is free: what the parent's threads held is forgotten,
// what the forking thread held too; it must not give that back.
//
// Errors: a write unlock of what no writer holds, a read unlock of what no reader holds
// (noticed by the next writer), and destroying what is held print a line and abort.
//
// Memory order: lock is an acquire, unlock a release; letters mark the pairs below.
// Models of both sides find what goes wrong without A, B, G, H, I or J
// (percpu_rwsem_model_test, percpu_rwsem_queue_model_test). C-D, E-F and K-L x86 orders
// itself; they bind the compiler there and are instructions on aarch64: ThreadSanitizer
// misses them. tests/mutants has each taken out, and who finds it. Mirrors
// kernel/locking/percpu-rwsem.c (6.1) with two counts instead of one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "locks/mutex.h"
#include "locks/percpu_counter.h"
#include "locks/thread_annotations.h"
#include "locks/tsan.h"

namespace memhp {

class CAPABILITY("percpu_rw_semaphore") percpu_rw_semaphore {
 public:
  percpu_rw_semaphore();
  ~percpu_rw_semaphore();
  percpu_rw_semaphore(const percpu_rw_semaphore&) = delete;
  percpu_rw_semaphore& operator=(const percpu_rw_semaphore&) = delete;

  // percpu_down_read(). Waits while a writer holds it or waits for it.
  void lock_shared() ACQUIRE_SHARED() {
    // A: this store, then the load. B in block() is the other side: a writer that closes
    // the gate and then scans. One of the two sees the other: by the writer's barrier if
    // it found the lock idle, by the fence in lock_shared_slow() if fenced. Without, both
    // could miss, and reader and writer be in together.
    // C pairs with D in unlock(): what the last writer wrote is seen.
    tsan_pre_lock(this, tsan_hold::read);
    if (!count_in()) [[unlikely]]
      lock_shared_slow();
    tsan_post_lock(this, tsan_hold::read);
  }

  // percpu_down_read_trylock(). Fails only while a writer holds it or waits for it.
  bool try_lock_shared() TRY_ACQUIRE_SHARED(true) {
    tsan_pre_try(this, tsan_hold::read);
    const bool got = count_in() || try_lock_shared_slow();  // A, C
    return tsan_post_try(this, got, tsan_hold::read);
  }

  // percpu_up_read().
  void unlock_shared() RELEASE_SHARED() {
    // E pairs with F in readers_left(): what the reader did is done before the writer
    // sees it gone. G: this store, then the load; H in drain() is the other side: a
    // writer that is about to sleep. Without it, the reader could see no writer and the
    // writer no unlock, and sleep for ever.
    tsan_pre_unlock(this, tsan_hold::read);
    if (!count_out()) [[unlikely]]
      if (!asymmetric_ || is_write_locked()) unlock_shared_slow();
    tsan_post_unlock(this, tsan_hold::read);
  }

  // percpu_down_write(), percpu_up_write().
  void lock() ACQUIRE() {
    tsan_pre_lock(this);
    lock_untold();
    tsan_post_lock(this);
  }
  void unlock() RELEASE() {
    tsan_pre_unlock(this);
    unlock_untold();
    tsan_post_unlock(this);
  }

  // percpu_is_write_locked(), percpu_is_read_locked(): a moment's truth, for assertions.
  // The former is true also while the writer waits for readers.
  bool is_write_locked() const {
    return state_.load(std::memory_order_relaxed) == blocked;
  }
  bool is_read_locked() const { return !is_write_locked() && readers_left() != 0; }
  // How many wait in the queue.
  unsigned waiters() const { return waiters_.load(std::memory_order_relaxed); }

  // While one lives, the lock stays fenced between writes: each write costs no barrier,
  // each read a fence. For probe and remove storms; cgroup's favordynmods does the same.
  class [[nodiscard]] burst {
   public:
    explicit burst(percpu_rw_semaphore& lock) : lock_{lock} {
      lock_.bursts_.fetch_add(1, std::memory_order_relaxed);
    }
    ~burst() { lock_.bursts_.fetch_sub(1, std::memory_order_relaxed); }
    burst(const burst&) = delete;
    burst& operator=(const burst&) = delete;

   private:
    percpu_rw_semaphore& lock_;
  };

  // For the arena: the child of a fork begins with a free lock.
  void reset_after_fork();

 private:
  enum : std::uint32_t { idle, fenced, blocked };  // idle is 0 for percpu_add()
  struct waiter;

  // Count one reader; true if the lock is idle then.
  bool count_in() {
    return percpu_add<offsetof(percpu_counts, acquired)>(place_, state_);
  }
  bool count_out() {
    return percpu_add<offsetof(percpu_counts, released)>(place_, state_);
  }

  void lock_untold();
  void unlock_untold();
  void lock_shared_slow();
  bool try_lock_shared_slow();
  void unlock_shared_slow();
  void wait_to_read();
  std::uint32_t look_again_after_fence() const;
  bool may_read(std::uint32_t seen);
  void back_out();
  void wake_drainer();

  bool block(std::uint32_t& before);
  void drain(std::uint32_t before);
  std::int64_t readers_left() const;
  bool drained() const;
  bool gate_opens_soon() const;
  struct read_count {
    std::uint64_t reads = 0;
    unsigned cpus = 0;
  };
  read_count count_reads() const;
  bool worth_a_barrier(const read_count& count) const;
  std::uint32_t state_after_write();
  void serve_queue(bool from_idle);
  waiter* hand_over(bool from_idle) REQUIRES(queue_lock_);
  bool enqueue_or_go_on(waiter& self);
  void await_grant(waiter& self);
  static void wake(waiter* who);
  template <class Done>
  static bool spin(Done done, unsigned tries);
  template <class Done>
  bool spin_while_it_helps(Done done);

  // Constant after construction.
  std::byte* const place_;  // of the pair of row 0
  const bool
      asymmetric_;  // writers can run a barrier for readers; decides what readers do

  // Synchronize themselves.
  std::atomic<std::uint32_t> state_;
  std::atomic<std::uint32_t> drainer_sleeps_ = 0;  // the word that the writer sleeps on
  std::atomic<std::uint32_t> waiters_ = 0;         // length of the queue
  std::atomic<std::uint32_t> bursts_ = 0;

  std::atomic<std::uint64_t> reads_before_ = 0;  // how many, at the last write

  // Of the writer that holds the lock.
  unsigned spin_tries_ = 256;  // how often to look whether the readers are out

  mutex queue_lock_;
  waiter* head_ GUARDED_BY(queue_lock_) = nullptr;
  waiter* tail_ GUARDED_BY(queue_lock_) = nullptr;
};

}  // namespace memhp
