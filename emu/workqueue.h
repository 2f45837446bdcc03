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
  // `key` names the queue to the validator, "(wq_completion)...": who flushes it waits
  // for all that its work takes. Without a runner work waits for flush().
  workqueue(const lock_class_key& key, runner run) : map_{key}, run_{std::move(run)} {}

  // queue_work(): the same function may be queued again while it runs. `item` names this
  // kind of work, "(work_completion)...".
  void queue(const lock_class_key& item, work function) {
    work process = [this, &item, function = std::move(function)] {
      process_one_work(item, function);
    };
    if (run_) {
      run_(std::move(process));
      return;
    }
    guard hold{lock_};
    waiting_.push_back(std::move(process));
  }

  // flush_workqueue(): runs what waits, on this thread, until nothing does. The caller
  // holds no lock.
  void flush() {
    lockdep::wait_for(map_);
    while (work next = take()) next();
  }

 private:
  void process_one_work(const lock_class_key& item, const work& function) {
    dep_map item_map{item};
    lockdep::acquire(map_, {});
    lockdep::acquire(item_map, {});
    function();
    lockdep::release(item_map);
    lockdep::release(map_);
  }

  work take() {
    guard hold{lock_};
    if (waiting_.empty()) return nullptr;
    work next = std::move(waiting_.front());
    waiting_.pop_front();
    return next;
  }

  dep_map map_;
  const runner run_;
  static constexpr lock_class_key lock_key{.name = "pool->lock"};
  tracked_mutex lock_{lock_key};
  std::deque<work> waiting_ GUARDED_BY(lock_);
};

}  // namespace memhp
