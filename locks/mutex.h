// A sleeping lock that knows its owner.
//
// Thread safety: every member may be called by any thread, under these rules:
//   1. unlock() and assert_held() are for the thread that holds the lock;
//   2. a thread that holds the lock must not lock it again (it would wait for itself).
// A broken rule 1 is a programmer's error: it is printed and the process aborts, in
// release builds too.
//
// Mirrors struct mutex (kernel include/linux/mutex.h) with lockdep_assert_held().
#pragma once

#include <atomic>
#include <mutex>
#include <string_view>

#include "locks/thread_annotations.h"

namespace memhp {

class CAPABILITY("mutex") mutex {
 public:
  // `name` is what a report calls the lock; it must outlive it.
  explicit constexpr mutex(std::string_view name) : name_{name} {}
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

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
  std::mutex raw_;
  // Identity of the holder, 0 when free. Written by the holder only; a thread that
  // reads its own identity here wrote it itself, so relaxed order is enough.
  std::atomic<std::uintptr_t> owner_ = 0;
};

// Prints what was broken, on which lock, and aborts.
[[noreturn]] void lock_rule_broken(std::string_view rule, std::string_view lock);

// Identity of the calling thread: never 0, not reused while the thread lives.
std::uintptr_t this_thread_identity();

}  // namespace memhp
