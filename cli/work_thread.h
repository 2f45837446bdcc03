// The thread that runs the work of the kernel's workqueues, in order.
//
// Thread safety: run() may be called by any thread; finish() by one, after which run()
// drops what it is given.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace memhp {

class work_thread {
 public:
  using work = std::function<void()>;

  work_thread() : thread_{[this] { loop(); }} {}
  work_thread(const work_thread&) = delete;
  work_thread& operator=(const work_thread&) = delete;
  ~work_thread() { finish(); }

  void run(work function) {
    const std::lock_guard hold{lock_};
    if (ending_) return;
    waiting_.push_back(std::move(function));
    arrived_.notify_one();
  }

  // Once so much time has passed; forgotten if that is after finish().
  void run_after(std::chrono::milliseconds delay, work function) {
    const std::lock_guard hold{lock_};
    later_.emplace(std::chrono::steady_clock::now() + delay, std::move(function));
    arrived_.notify_one();
  }

  // Runs what was given, then ends the thread. The work must be able to finish.
  void finish() {
    {
      const std::lock_guard hold{lock_};
      ending_ = true;
      arrived_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
  }

 private:
  void loop() {
    std::unique_lock hold{lock_};
    while (true) {
      take_due();
      if (waiting_.empty() && ending_) return;
      if (waiting_.empty()) {
        if (later_.empty())
          arrived_.wait(hold);
        else
          arrived_.wait_until(hold, later_.begin()->first);
        continue;
      }
      const work next = std::move(waiting_.front());
      waiting_.pop_front();
      hold.unlock();
      next();
      hold.lock();
    }
  }

  // What is due goes behind what waits.
  void take_due() {
    const auto now = std::chrono::steady_clock::now();
    while (!later_.empty() && later_.begin()->first <= now) {
      waiting_.push_back(std::move(later_.begin()->second));
      later_.erase(later_.begin());
    }
  }

  std::mutex lock_;
  std::condition_variable arrived_;
  std::deque<work> waiting_;                                          // guarded by lock_
  std::multimap<std::chrono::steady_clock::time_point, work> later_;  // as well
  bool ending_ = false;                                               // guarded by lock_
  std::thread thread_;  // last: starts when the rest exists
};

}  // namespace memhp
