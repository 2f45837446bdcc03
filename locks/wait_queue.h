// Sleeping until a condition holds: wait_event() and wake_up_all().
//
// Thread safety: any thread may wait and wake. The condition is evaluated with the
// queue's internal lock held, so it must be short and must not use the same queue.
// A waker changes the condition first (with an atomic or under a lock that the
// condition takes) and calls wake_all() afterwards; no wake-up is then lost:
//   1. the waiter tests the condition under the queue's lock (A);
//   2. the waker passes through the same lock after its change (B);
//   3. so either the test in A sees the change, or B finds the waiter asleep.
//
// Mirrors wait_queue_head_t (kernel include/linux/wait.h).
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace memhp {

class wait_queue {
 public:
  // Returns once `condition()` is true. Not interruptible: a wait that ends with a
  // signal tests for the signal in its condition.
  template <class Condition>
  void wait(Condition condition) {
    std::unique_lock hold{lock_};  // A pairs with B in wake_all()
    woken_.wait(hold, condition);
  }
  // False if it did not become true in so much time.
  template <class Condition>
  bool wait_for(Condition condition, std::chrono::nanoseconds timeout) {
    std::unique_lock hold{lock_};  // A
    return woken_.wait_for(hold, timeout, condition);
  }

  void wake_all();

 private:
  std::mutex lock_;
  std::condition_variable woken_;
};

}  // namespace memhp
