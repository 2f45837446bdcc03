// percpu_rw_semaphore: a reader/writer lock for data that is read on every CPU all
// the time and written hardly ever.
//
// Readers count themselves in on the CPU they run on and touch no shared line that
// another reader writes; a writer closes the gate and waits until the sums over all
// CPUs say that no reader is left.
//
// Thread safety and invariants:
//   1. Two monotonic counters a CPU, `entered` and `left`. A reader may migrate
//      between the two; only the sums count.
//   2. A scan adds up `left` first and `entered` second, so a reader that comes or
//      goes during the scan can only make the sums differ, never make them agree
//      while somebody reads.
//   3. `blocked` is changed under queue_lock_ only. Once it is set, every new reader
//      queues, also one that holds the lock already: reading twice can deadlock.
//   4. The queue is FIFO and the waker hands over: a run of readers at its head is let
//      in together, a writer ends the run. Nobody starves.
// A reader may leave on another thread than it entered on.
//
// Mirrors kernel/locking/percpu-rwsem.c (6.1), generation without embedded rwsem.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string_view>

#include "locks/thread_annotations.h"

namespace memhp {

class CAPABILITY("percpu_rw_semaphore") percpu_rw_semaphore {
 public:
  // `name` is what a report calls the lock; it must outlive it.
  explicit percpu_rw_semaphore(std::string_view name);
  percpu_rw_semaphore(const percpu_rw_semaphore&) = delete;
  percpu_rw_semaphore& operator=(const percpu_rw_semaphore&) = delete;

  // down_read(), percpu_down_read_trylock(), up_read(). try_lock_shared() fails only
  // while a writer holds or waits.
  void lock_shared() ACQUIRE_SHARED();
  bool try_lock_shared() TRY_ACQUIRE_SHARED(true);
  void unlock_shared() RELEASE_SHARED();

  // down_write(), up_write().
  void lock() ACQUIRE();
  void unlock() RELEASE();

  // lockdep_assert_held_write(): aborts unless the calling thread holds it to write.
  void assert_held_write() const ASSERT_HELD(this);
  // Aborts if nobody holds it, neither to read nor to write. Readers are not known by
  // name, so this is weaker than for a mutex.
  void assert_held_read() const ASSERT_HELD_SHARED(this);

  std::string_view name() const { return name_; }

 private:
  struct alignas(64) percpu_counters {
    std::atomic<std::uint64_t> entered = 0;
    std::atomic<std::uint64_t> left = 0;
  };
  struct waiter {
    const bool writer;
    bool granted = false;
  };

  percpu_counters& this_cpu();
  bool readers_left() const;
  void lock_shared_slow();
  void wake_writer();
  void hand_over();

  // Constant after construction.
  const std::string_view name_;
  const unsigned cpus_;
  const std::unique_ptr<percpu_counters[]> percpu_;

  // Synchronize themselves.
  std::atomic<bool> blocked_ = false;
  std::atomic<std::uintptr_t> writer_ = 0;  // identity of the holder, 0 when none

  // Guarded by queue_lock_.
  std::mutex queue_lock_;
  std::condition_variable granted_;  // an entry of queue_ was granted
  std::condition_variable drained_;  // a reader left while blocked_ was set
  std::deque<waiter*> queue_;
};

}  // namespace memhp
