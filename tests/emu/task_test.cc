#include "emu/task.h"

#include <gtest/gtest.h>

#include <latch>
#include <thread>

namespace memhp {
namespace {

TEST(Task, SleepsUntilTheConditionHolds) {
  task t;
  tracked_wait_queue queue{"queue"};
  std::atomic<bool> ready = false;
  std::jthread waker{[&] {
    ready = true;
    queue.wake_all();
  }};
  t.wait_interruptible(queue, [&] { return ready.load(); });
  EXPECT_TRUE(ready);
  EXPECT_FALSE(t.signal_pending());
}

TEST(Task, IsWokenByASignalWhileItSleeps) {
  task t;
  tracked_wait_queue queue{"queue"};
  std::latch asleep{1};
  std::jthread signaller{[&] {
    asleep.wait();
    t.signal();
  }};
  bool first = true;
  t.wait_interruptible(queue, [&] {
    if (std::exchange(first, false)) asleep.count_down();
    return false;
  });
  EXPECT_TRUE(t.signal_pending());
}

TEST(Task, DoesNotSleepWithASignalPending) {
  task t;
  tracked_wait_queue queue{"queue"};
  t.signal();
  t.wait_interruptible(queue, [] { return false; });
  EXPECT_TRUE(t.signal_pending());
}

}  // namespace
}  // namespace memhp
