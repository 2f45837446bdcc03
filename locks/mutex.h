// mutex: a sleeping lock for one thread at a time, without a name or an owner.
//
// Thread safety: any thread; a holder must not take it again, and unlocks it itself.
// Mirrors struct mutex (kernel include/linux/mutex.h).
#pragma once

#include <mutex>

#include "locks/lock_rule.h"
#include "locks/thread_annotations.h"

namespace memhp {

class CAPABILITY("mutex") mutex {
 public:
  constexpr mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  void lock() ACQUIRE() { raw_.lock(); }
  bool try_lock() TRY_ACQUIRE(true) { return raw_.try_lock(); }
  void unlock() RELEASE() { raw_.unlock(); }

 private:
  std::mutex raw_;
};

}  // namespace memhp
