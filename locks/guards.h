// Scoped holds that the thread-safety analysis understands (it does not see through
// std::lock_guard on our locks). One lock a guard: the order in which a function
// takes its locks is then the order of its lines.
#pragma once

#include "locks/thread_annotations.h"

namespace memhp {

// Holds `lock` exclusively until the end of the scope.
template <class Lock>
class SCOPED_CAPABILITY [[nodiscard]] guard {
 public:
  explicit guard(Lock& lock) ACQUIRE(lock) : lock_{lock} { lock_.lock(); }
  ~guard() RELEASE() { lock_.unlock(); }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;

 private:
  Lock& lock_;
};

// Holds `lock` for reading until the end of the scope.
template <class Lock>
class SCOPED_CAPABILITY [[nodiscard]] read_guard {
 public:
  explicit read_guard(Lock& lock) ACQUIRE_SHARED(lock) : lock_{lock} {
    lock_.lock_shared();
  }
  ~read_guard() RELEASE_GENERIC() { lock_.unlock_shared(); }
  read_guard(const read_guard&) = delete;
  read_guard& operator=(const read_guard&) = delete;

 private:
  Lock& lock_;
};

}  // namespace memhp
