// The thread that runs the work of the kernel's workqueues, in order.
//
// Thread safety: run() may be called by any thread; finish() by one, after which run()
// drops what it is given.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <utility>

#include "locks/completion.h"
#include "locks/guards.h"
#include "locks/tracked.h"

namespace memhp {

class work_thread {
 public:
  using work = std::function<void()>;

  work_thread() : thread_{[this] { loop(); }} {}
  work_thread(const work_thread&) = delete;
  work_thread& operator=(const work_thread&) = delete;
  ~work_thread() { finish(); }

  void run(work function) {
    {
      guard hold{lock_};
      if (ending_) return;
      waiting_.push_back(std::move(function));
    }
    arrived_.complete();
  }

  // Runs what was given, then ends the thread. The work must be able to finish.
  void finish() {
    bool first = false;
    {
      guard hold{lock_};
      first = !std::exchange(ending_, true);
    }
    if (first) arrived_.complete();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void loop() {
    while (true) {
      arrived_.wait();
      work next;
      {
        guard hold{lock_};
        if (waiting_.empty()) return;  // what arrived is the end
        next = std::move(waiting_.front());
        waiting_.pop_front();
      }
      next();
    }
  }

  static constexpr lock_class_key lock_key{.name = "work thread"};
  tracked_mutex lock_{lock_key};
  std::deque<work> waiting_ GUARDED_BY(lock_);
  bool ending_ GUARDED_BY(lock_) = false;
  // Once for each work, and for the end. Not shown to the validator: who waits for it
  // holds nothing, and who waits for the work says so to the workqueue.
  completion arrived_;
  std::thread thread_;  // last: starts when the rest exists
};

}  // namespace memhp
