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
//      a reader that does not find the lock idle has a fence before its last look.
//   2. A scan adds up `released` first and `acquired` second. Whoever comes or goes
//      meanwhile can only make them differ, never agree while somebody reads.
//   3. state_ is `blocked` from a writer's success until it is handed to nobody; who is
//      handed the lock finds it so.
//   4. Who queues is not counted; who grants counts it in.
//
// Cost: a read lock and unlock are 24 instructions of g++ and of clang; a write runs
// membarrier(2) (2 to 15 us where other CPUs run this process's threads) unless the lock
// is fenced. It is, in a burst, and after a write that came so soon that its readers
// would pay less for their fences than everybody for a barrier (both are timed), until
// the reads are worth one. Waiting spins a moment, then yields a few times (not a writer
// in the queue), then sleeps. Memory: 16 bytes per lock and CPU, plus this.
//
// Without restartable sequences (valgrind, gVisor, an old kernel) a reader counts in a
// row of its thread; without membarrier(2) the lock is always fenced. ThreadSanitizer
// gets both. Which it is, is decided once in a process. A program that was compiled for
// another glibc than the one it runs on may have to count by a call.
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
  percpu_rw_semaphore() : percpu_rw_semaphore{compiled_for<known_rseq_offset>{}} {}
  ~percpu_rw_semaphore();
  percpu_rw_semaphore(const percpu_rw_semaphore&) = delete;
  percpu_rw_semaphore& operator=(const percpu_rw_semaphore&) = delete;

  // percpu_down_read(). Waits while a writer holds it or waits for it.
  [[gnu::always_inline]] void lock_shared() ACQUIRE_SHARED() {
    // C pairs with D in unlock_untold(): what the last writer wrote is seen.
    tsan_pre_lock(this, tsan_hold::read);
    lock_shared_untold();
    tsan_post_lock(this, tsan_hold::read);
  }

  // percpu_down_read_trylock(). Fails only while a writer holds it or waits for it.
  bool try_lock_shared() TRY_ACQUIRE_SHARED(true) {
    tsan_pre_try(this, tsan_hold::read);
    return tsan_post_try(this, try_lock_shared_untold(), tsan_hold::read);
  }

  // percpu_up_read().
  [[gnu::always_inline]] void unlock_shared() RELEASE_SHARED() {
    // E pairs with F in add_up(): what the reader did is done before the writer sees it
    // gone.
    tsan_pre_unlock(this, tsan_hold::read);
    unlock_shared_untold();
    tsan_post_unlock(this, tsan_hold::read);
  }

  // percpu_down_write(), percpu_up_write().
  void lock() ACQUIRE() {
    tsan_pre_lock(this);
    lock_untold();
    tsan_post_lock(this);
  }
  // Fails if anybody holds it or waits for it, or a reader just looks whether it may
  // enter. To see that it closes the gate for a moment, and where the lock is idle runs
  // the barrier: no way to poll. The kernel has none; this is for std::unique_lock with
  // std::try_to_lock and for std::scoped_lock.
  bool try_lock() TRY_ACQUIRE(true) {
    tsan_pre_try(this);
    return tsan_post_try(this, try_lock_untold());
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
  bool is_read_locked() const { return !is_write_locked() && add_up().readers != 0; }
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
  // The gate. A reader that finds more than `fenced` calls the library; else it counts
  // itself inline. `elsewhere` is added to idle and fenced where percpu_inline() is
  // false; `fenced_always` is both where writers have no barrier for readers.
  enum : std::uint32_t { idle, fenced, blocked, fenced_always, elsewhere };
  // A reader's reads of a fenced lock, on one CPU, between two looks whether writes have
  // become rare.
  static constexpr unsigned reads_per_look = 1024;
  struct waiter;

  // For the public constructor: what is compiled here must look for struct rseq where the
  // library says it is. Else there is nothing to link with.
  template <std::ptrdiff_t RseqOffset>
  struct compiled_for {};
  explicit percpu_rw_semaphore(compiled_for<known_rseq_offset> here);

#if MEMHP_RSEQ
  // The first look decides how to count, and spares a writer a reader that comes and goes
  // in the lines it scans. The one that counts comes after the count.
  [[gnu::always_inline]] void lock_shared_untold() {
    constexpr auto in = offsetof(percpu_counts, acquired);
    const std::uint32_t seen = state_.load(std::memory_order_relaxed);
    if (seen == idle) [[likely]] {
      // A: the count, then the look at the gate. B in block() is the other side: a writer
      // that closes the gate and then scans. One of the two sees the other: by the
      // writer's barrier if it found the lock idle, by the fence below if fenced.
      // Without, both could miss, and reader and writer be in together.
      const auto count =
          percpu_add_inline<in, idle, percpu_order::plain>(place_, state_);  // A, C
      if (!count.open) [[unlikely]]
        lock_shared_counted(count.word);
    } else if (seen == fenced) {
      // Inline, since that is each read of a lock that is written often, and a call with
      // the registers that it saves would be a third of its time.
      const auto count =
          percpu_add_inline<in, fenced, percpu_order::fenced>(place_, state_);  // A, C
      if (!count.open || look_is_due(count.word)) [[unlikely]]
        lock_shared_counted(count.word);
    } else {
      lock_shared_slow();
    }
  }
  [[gnu::always_inline]] void unlock_shared_untold() {
    constexpr auto out = offsetof(percpu_counts, released);
    if (state_.load(std::memory_order_relaxed) <= fenced) [[likely]] {
      // G: the count, then the look; H in drain() is the other side: a writer that is
      // about to sleep. Without it, the reader could see no writer and the writer no
      // unlock, and sleep for ever.
      const auto count =
          percpu_add_inline<out, fenced, percpu_order::plain>(place_, state_);  // E, G
      if (!count.open) [[unlikely]]
        unlock_shared_counted();
    } else {
      unlock_shared_slow();
    }
  }
#else
  void lock_shared_untold() { lock_shared_slow(); }
  void unlock_shared_untold() { unlock_shared_slow(); }
#endif
  static bool look_is_due(const percpu_count& mine) {
    return mine.load(std::memory_order_relaxed) % reads_per_look == 0;
  }

  void lock_untold();
  bool try_lock_untold();
  void unlock_untold();
  void lock_shared_slow();
  void lock_shared_counted(const percpu_count& mine);
  bool try_lock_shared_untold();
  void unlock_shared_slow();
  void unlock_shared_counted();
  void wait_to_read();
  std::uint32_t look_again_after_fence() const;
  bool may_read(std::uint32_t seen, const percpu_count& mine);
  const percpu_count& count_in();
  void count_out();
  void back_out();
  void wake_drainer();

  // Whether writers can run a barrier for readers.
  bool asymmetric() const { return fenced_ != fenced_always; }
  bool block(std::uint32_t& before);
  void drain(std::uint32_t before);
  bool drained();
  bool gate_opens_soon() const;
  struct tally {
    std::int64_t readers = 0;  // that are in
    std::uint64_t reads = 0;   // ever
    unsigned cpus = 0;         // on so many
  };
  tally add_up() const;
  bool worth_a_barrier(const tally& now) const;
  std::uint32_t state_after_write();
  void open_gate(std::uint32_t to);
  void serve_queue(bool from_idle);
  waiter* hand_over(bool from_idle) REQUIRES(queue_lock_);
  bool enqueue_or_go_on(waiter& self);
  void await_grant(waiter& self);
  static void wake(waiter* who);
  template <class Done>
  static bool spin(Done done, unsigned tries);
  template <class Done>
  bool spin_while_it_helps(Done done);
  template <class Done>
  bool yield_if_it_helps(Done done);
  bool yields_help();

  // Constant after construction.
  std::byte* const place_;      // of the pair of row 0
  const std::uint32_t idle_;    // what state_ is when idle
  const std::uint32_t fenced_;  // and when fenced

  // Synchronize themselves.
  std::atomic<std::uint32_t> state_;
  std::atomic<std::uint32_t> drainer_sleeps_ = 0;  // the word that the writer sleeps on
  std::atomic<std::uint32_t> waiters_ = 0;         // length of the queue
  std::atomic<std::uint32_t> bursts_ = 0;

  // Below is nothing that a reader looks at who meets no writer: another line.
  alignas(64) std::atomic<std::uint64_t> reads_before_ = 0;  // so many, at the last write

  // Of the writer that holds the lock.
  tally read_;                 // when the readers were out
  unsigned spin_tries_ = 256;  // how often to look whether the readers are out

  std::atomic<unsigned> waits_without_yields_ = 0;  // so many are to come

  mutex queue_lock_;
  waiter* head_ GUARDED_BY(queue_lock_) = nullptr;
  waiter* tail_ GUARDED_BY(queue_lock_) = nullptr;
};

}  // namespace memhp
