// The raw locks with a name, and for the mutex an owner that can be asserted.
//
// Thread safety: every member may be called by any thread, under these rules:
//   1. named_mutex::unlock() and assert_held() are for the thread that holds the lock;
//   2. a thread that holds a lock must not take it again (it would wait for itself).
// A broken rule 1 is a programmer's error: it is printed and the process aborts, in
// release builds too.
//
// named_mutex is struct mutex (kernel include/linux/mutex.h) with lockdep_assert_held(),
// named_rw_semaphore struct rw_semaphore (include/linux/rwsem.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "locks/lock_rule.h"
#include "locks/mutex.h"
#include "locks/rwsem.h"
#include "locks/thread_annotations.h"

namespace memhp {

class CAPABILITY("mutex") named_mutex {
 public:
  // `name` is what a report calls the lock; it must outlive it.
  explicit constexpr named_mutex(std::string_view name) : name_{name} {}
  named_mutex(const named_mutex&) = delete;
  named_mutex& operator=(const named_mutex&) = delete;

  // Waits, uninterruptibly, until the lock is free.
  void lock() ACQUIRE();
  // Takes the lock if it is free now.
  bool try_lock() TRY_ACQUIRE(true);
  void unlock() RELEASE();

  // lockdep_assert_held(): aborts unless the calling thread holds the lock.
  void assert_held() const ASSERT_HELD(this);
  // True if the calling thread holds the lock.
  bool held_by_me() const;
  std::string_view name() const { return name_; }

 private:
  const std::string_view name_;
  mutex raw_;
  // Identity of the holder, 0 when free. Written by the holder only; a thread that
  // reads its own identity here wrote it itself, so relaxed order is enough.
  std::atomic<std::uintptr_t> owner_ = 0;
};

class CAPABILITY("rw_semaphore") named_rw_semaphore {
 public:
  explicit constexpr named_rw_semaphore(std::string_view name) : name_{name} {}
  named_rw_semaphore(const named_rw_semaphore&) = delete;
  named_rw_semaphore& operator=(const named_rw_semaphore&) = delete;

  void lock_shared() ACQUIRE_SHARED();
  void unlock_shared() RELEASE_SHARED();
  void lock() ACQUIRE();
  void unlock() RELEASE();

  std::string_view name() const { return name_; }

 private:
  const std::string_view name_;
  rw_semaphore raw_;
};

}  // namespace memhp
