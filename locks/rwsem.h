// rw_semaphore: a sleeping reader/writer lock for structures that change now and then.
// For data that is read on every CPU all the time take percpu_rw_semaphore.
//
// Thread safety: any thread; a holder must not take it again, in either mode.
// Mirrors struct rw_semaphore (kernel include/linux/rwsem.h).
#pragma once

#include <shared_mutex>

#include "locks/thread_annotations.h"

namespace memhp {

class CAPABILITY("rw_semaphore") rw_semaphore {
 public:
  constexpr rw_semaphore() = default;
  rw_semaphore(const rw_semaphore&) = delete;
  rw_semaphore& operator=(const rw_semaphore&) = delete;

  // down_read(), up_read().
  void lock_shared() ACQUIRE_SHARED() { raw_.lock_shared(); }
  void unlock_shared() RELEASE_SHARED() { raw_.unlock_shared(); }
  // down_write(), up_write().
  void lock() ACQUIRE() { raw_.lock(); }
  void unlock() RELEASE() { raw_.unlock(); }

 private:
  std::shared_mutex raw_;
};

}  // namespace memhp
