// The code that fast_path.sh counts: what a reader of a free lock runs.
#include "locks/percpu_rwsem.h"

namespace memhp {

void read_pair(percpu_rw_semaphore& lock);

void read_pair(percpu_rw_semaphore& lock) {
  lock.lock_shared();
  lock.unlock_shared();
}

}  // namespace memhp
