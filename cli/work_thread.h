// The thread that runs the work of the kernel's workqueues, in order, and its timers.
//
// Thread safety: run() and run_after() may be called by any thread; finish() by one,
// after which run() drops what it is given.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
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

  // Once so much time has passed; forgotten if that is after finish().
  void run_after(std::chrono::milliseconds delay, work function) {
    {
      guard hold{lock_};
      if (ending_) return;
      later_.emplace(clock::now() + delay, std::move(function));
    }
    arrived_.complete();  // it may be due before what is waited for now
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
  using clock = std::chrono::steady_clock;

  void loop() {
    while (true) {
      work next;
      std::optional<clock::time_point> due;
      {
        guard hold{lock_};
        take_due();
        if (!waiting_.empty()) {
          next = std::move(waiting_.front());
          waiting_.pop_front();
        } else if (ending_) {
          return;
        } else if (!later_.empty()) {
          due = later_.begin()->first;
        }
      }
      if (next)
        next();
      else if (due)
        (void)arrived_.wait_until(*due);
      else
        arrived_.wait();
    }
  }

  // What is due goes behind what waits.
  void take_due() REQUIRES(lock_) {
    const auto now = clock::now();
    while (!later_.empty() && later_.begin()->first <= now) {
      waiting_.push_back(std::move(later_.begin()->second));
      later_.erase(later_.begin());
    }
  }

  static constexpr lock_class_key lock_key{.name = "work thread"};
  tracked_mutex lock_{lock_key};
  std::deque<work> waiting_ GUARDED_BY(lock_);
  std::multimap<clock::time_point, work> later_ GUARDED_BY(lock_);
  bool ending_ GUARDED_BY(lock_) = false;
  // Once for each work or timer, and for the end: a reason to look. Not shown to the
  // validator: who waits for it holds nothing, and who waits for the work says so to the
  // workqueue.
  completion arrived_;
  std::thread thread_;  // last: starts when the rest exists
};

}  // namespace memhp
