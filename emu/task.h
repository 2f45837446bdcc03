// The task on whose behalf the kernel model runs: what a system call can ask about its
// caller, and how a signal reaches it while it sleeps.
//
// Thread safety: signal() and kill() may be called by any thread while the task runs
// on another one. The rest is for the thread that runs the task.
#pragma once

#include <sys/types.h>

#include <atomic>

#include "locks/tracked.h"

namespace memhp {

class task {
 public:
  task() = default;  // a kernel thread: pid 0, root
  task(pid_t pid, uid_t uid, gid_t gid) : pid_{pid}, uid_{uid}, gid_{gid} {}
  task(const task&) = delete;
  task& operator=(const task&) = delete;

  pid_t pid() const { return pid_; }
  uid_t uid() const { return uid_; }
  gid_t gid() const { return gid_; }

  // signal_pending(): some signal arrived; interruptible work gives up with EINTR.
  bool signal_pending() const { return signal_.load(std::memory_order_acquire); }

  // Marks a signal as pending and wakes the task if it sleeps interruptibly.
  void signal() {
    // A pairs with B: both sides store first and load the other's word afterwards, so
    // either we see the queue and wake it, or the sleeper sees the signal.
    signal_.store(true, std::memory_order_seq_cst);
    if (tracked_wait_queue* queue = asleep_on_.load(std::memory_order_seq_cst))
      queue->wake_all();
  }

  // Sleeps on `queue` until `condition()` holds or a signal is pending. The queue must
  // outlive every task that may still be signalled.
  template <class Condition>
  void wait_interruptible(tracked_wait_queue& queue, Condition condition) {
    asleep_on_.store(&queue, std::memory_order_seq_cst);  // B
    queue.wait([&] { return condition() || signal_.load(std::memory_order_seq_cst); });
    asleep_on_.store(nullptr, std::memory_order_release);
  }

 private:
  const pid_t pid_ = 0;
  const uid_t uid_ = 0;
  const gid_t gid_ = 0;
  std::atomic<bool> signal_ = false;
  std::atomic<tracked_wait_queue*> asleep_on_ = nullptr;
};

}  // namespace memhp
