// Scoped holds that the thread-safety analysis understands (it does not see through
// std::lock_guard on our locks). One lock a guard: the order in which a function
// takes its locks is then the order of its lines.
//
// Inlined at every level of optimization, so that what a report says after "at:" is the
// function that holds the guard.
#pragma once

#include "locks/thread_annotations.h"

namespace memhp {

// Holds `lock` exclusively until the end of the scope.
template <class Lock>
class SCOPED_CAPABILITY [[nodiscard]] guard {
 public:
  [[gnu::always_inline]] explicit guard(Lock& lock) ACQUIRE(lock) : lock_{lock} {
    lock_.lock();
  }
  [[gnu::always_inline]] ~guard() RELEASE() { lock_.unlock(); }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;

 private:
  Lock& lock_;
};

// Holds `lock` for reading until the end of the scope.
template <class Lock>
class SCOPED_CAPABILITY [[nodiscard]] read_guard {
 public:
  [[gnu::always_inline]] explicit read_guard(Lock& lock) ACQUIRE_SHARED(lock)
      : lock_{lock} {
    lock_.lock_shared();
  }
  [[gnu::always_inline]] ~read_guard() RELEASE_GENERIC() { lock_.unlock_shared(); }
  read_guard(const read_guard&) = delete;
  read_guard& operator=(const read_guard&) = delete;

 private:
  Lock& lock_;
};

}  // namespace memhp
