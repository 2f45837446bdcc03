#include "locks/wait_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <thread>
#include <vector>

#include "tests/locks/eventually.h"

namespace memhp {
namespace {

TEST(WaitQueue, DoesNotSleepIfTheConditionHolds) {
  wait_queue queue;
  queue.wait([] { return true; });
}

TEST(WaitQueue, SleepsUntilTheConditionHoldsAndNotJustUntilWoken) {
  wait_queue queue;
  std::atomic<int> value = 0;
  std::latch tested_once{1};
  std::atomic<bool> first = true;
  int seen = 0;
  std::jthread sleeper{[&] {
    queue.wait([&] {
      seen = value;
      if (first.exchange(false)) tested_once.count_down();
      return seen == 2;
    });
  }};
  tested_once.wait();
  value = 1;
  queue.wake_all();
  value = 2;
  queue.wake_all();
  sleeper.join();
  EXPECT_EQ(seen, 2);
}

TEST(WaitQueue, WakesEverybody) {
  wait_queue queue;
  std::atomic<bool> open = false;
  std::latch all_there{3};
  std::vector<std::jthread> sleepers;
  for (int i = 0; i < 3; ++i)
    sleepers.emplace_back([&] {
      all_there.count_down();
      queue.wait([&] { return open.load(); });
    });
  all_there.wait();
  open = true;
  queue.wake_all();
}

// Each thread waits for the other's step: one wake-up lost and both sleep for ever.
TEST(WaitQueue, LosesNoWakeUp) {
  constexpr int rounds = 20'000;
  wait_queue queue;
  std::atomic<int> turn = 0;
  const auto play = [&](int me) {
    for (int round = 0; round < rounds; ++round) {
      queue.wait([&] { return turn % 2 == me; });
      ++turn;
      queue.wake_all();
    }
  };
  std::jthread other{play, 1};
  play(0);
  other.join();
  EXPECT_EQ(turn, 2 * rounds);
}

// The wake-up comes after the waiter has found its condition false and before it sleeps.
TEST(WaitQueue, IsNotWokenTooEarly) {
  wait_queue queue;
  std::atomic<bool> changed = false;
  std::atomic<bool> tested = false;
  std::atomic<bool> through = false;
  std::jthread waiter{[&] {
    queue.wait([&] {
      const bool holds = changed;
      if (!tested.exchange(true))
        std::this_thread::sleep_for(std::chrono::milliseconds{50});
      return holds;
    });
    through = true;
  }};
  ASSERT_TRUE(eventually([&] { return tested.load(); }));
  changed = true;
  queue.wake_all();
  EXPECT_TRUE(eventually([&] { return through.load(); }));
  queue.wake_all();  // so that a test that fails ends
}

}  // namespace
}  // namespace memhp
