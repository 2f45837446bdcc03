// A thread that a test can see fall asleep: the forced interleavings of the lock tests
// need "it waits now", which no lock tells.
#pragma once

#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "tests/locks/eventually.h"

namespace memhp {

class sleeper {
 public:
  // Runs `work`, which is expected to block on the lock under test at once.
  explicit sleeper(std::function<void()> work)
      : thread_{[this, work = std::move(work)] {
          tid_ = gettid();
          work();
        }} {}

  // True once the thread sleeps in the kernel.
  bool falls_asleep() const {
    return eventually([this] { return tid_ != 0 && state() == 'S'; });
  }
  // For what must not happen: true if it still sleeps after a moment.
  bool stays_asleep() const {
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    return falls_asleep();
  }
  void join() { thread_.join(); }

 private:
  // Third field of /proc/PID/task/TID/stat, behind the name in parentheses.
  char state() const {
    std::ifstream stat{"/proc/self/task/" + std::to_string(tid_) + "/stat"};
    std::string line;
    std::getline(stat, line);
    const auto name_end = line.rfind(") ");
    return name_end == std::string::npos ? '?' : line[name_end + 2];
  }

  std::atomic<pid_t> tid_ = 0;
  std::jthread thread_;  // the last member: it uses the others
};

}  // namespace memhp
