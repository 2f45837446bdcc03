#include "locks/wait_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

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

}  // namespace
}  // namespace memhp
