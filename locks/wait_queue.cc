#include "locks/wait_queue.h"

namespace memhp {

void wait_queue::wake_all() {
  // B pairs with A in wait(): without passing through the lock a waiter that has
  // just found its condition false, but does not sleep yet, would miss the wake-up.
  {
    const std::lock_guard pass{lock_};
  }
  woken_.notify_all();
}

}  // namespace memhp
