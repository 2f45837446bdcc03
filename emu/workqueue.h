// A kernel workqueue: functions that run later, on a thread that holds nothing.
//
// Thread safety: any thread. Who runs the work is injected: the kernel model has no
// threads of its own. Mirrors kernel/workqueue.c (6.1) as far as hotplug needs it.
#pragma once

#include <deque>
#include <functional>

#include "locks/guards.h"
#include "locks/tracked.h"

namespace memhp {

class workqueue {
 public:
  using work = std::function<void()>;
  // Runs one piece of work, now or later, on any thread but with no lock held.
  using runner = std::function<void(work)>;
  // Without a runner work waits for flush().
  explicit workqueue(runner run) : run_{std::move(run)} {}

  // queue_work(): the same function may be queued again while it runs.
  void queue(work function) {
    if (run_) {
      run_(std::move(function));
      return;
    }
    guard hold{lock_};
    waiting_.push_back(std::move(function));
  }

  // Runs what waits, on this thread, until nothing does. The caller holds no lock.
  void flush() {
    while (work next = take()) next();
  }

 private:
  work take() {
    guard hold{lock_};
    if (waiting_.empty()) return nullptr;
    work next = std::move(waiting_.front());
    waiting_.pop_front();
    return next;
  }

  const runner run_;
  static constexpr lock_class_key lock_key{.name = "pool->lock"};
  tracked_mutex lock_{lock_key};
  std::deque<work> waiting_ GUARDED_BY(lock_);
};

}  // namespace memhp
