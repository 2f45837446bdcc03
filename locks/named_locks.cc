#include "locks/named_locks.h"

namespace memhp {

// The analysis takes the named lock and the raw one inside it for two locks; that each
// function takes or releases both is what it cannot express.

void named_mutex::lock() NO_THREAD_SAFETY_ANALYSIS {
  raw_.lock();
  owner_.store(this_thread_identity(), std::memory_order_relaxed);
}

bool named_mutex::try_lock() NO_THREAD_SAFETY_ANALYSIS {
  if (!raw_.try_lock()) return false;
  owner_.store(this_thread_identity(), std::memory_order_relaxed);
  return true;
}

void named_mutex::unlock() NO_THREAD_SAFETY_ANALYSIS {
  if (!held_by_me()) lock_rule_broken("unlock of a lock that is not held", name_);
  owner_.store(0, std::memory_order_relaxed);
  raw_.unlock();
}

bool named_mutex::held_by_me() const {
  return owner_.load(std::memory_order_relaxed) == this_thread_identity();
}

void named_mutex::assert_held() const {
  if (!held_by_me()) lock_rule_broken("lock must be held here", name_);
}

void named_rw_semaphore::lock_shared() NO_THREAD_SAFETY_ANALYSIS {
  raw_.lock_shared();
}
void named_rw_semaphore::unlock_shared() NO_THREAD_SAFETY_ANALYSIS {
  raw_.unlock_shared();
}
void named_rw_semaphore::lock() NO_THREAD_SAFETY_ANALYSIS {
  raw_.lock();
}
void named_rw_semaphore::unlock() NO_THREAD_SAFETY_ANALYSIS {
  raw_.unlock();
}

}  // namespace memhp
