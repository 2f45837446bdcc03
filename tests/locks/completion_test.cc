#include "locks/completion.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "tests/locks/sleeper.h"

namespace memhp {
namespace {

#ifdef __SANITIZE_THREAD__
constexpr int rounds = 500;
#else
constexpr int rounds = 10'000;
#endif

std::vector<std::unique_ptr<sleeper>> asleep_on(completion& c, int count,
                                                std::atomic<int>& through) {
  std::vector<std::unique_ptr<sleeper>> waiters;
  for (int i = 0; i < count; ++i) {
    waiters.push_back(std::make_unique<sleeper>([&] {
      c.wait();
      ++through;
    }));
    EXPECT_TRUE(waiters.back()->falls_asleep());
  }
  return waiters;
}

TEST(Completion, LetsThroughWhoComesLater) {
  completion c;
  EXPECT_FALSE(c.done());
  EXPECT_FALSE(c.try_wait());
  c.complete();
  c.complete();
  EXPECT_TRUE(c.done());
  c.wait();
  EXPECT_TRUE(c.try_wait());
  EXPECT_FALSE(c.try_wait());  // one each
}

TEST(Completion, EachCompleteWakesOne) {
  completion c;
  std::atomic<int> through = 0;
  const auto waiters = asleep_on(c, 3, through);
  c.complete();
  EXPECT_TRUE(eventually([&] { return through == 1; }));
  c.complete();
  EXPECT_TRUE(eventually([&] { return through == 2; }));
  EXPECT_FALSE(c.done());
  c.complete();
}

TEST(Completion, CompleteAllLetsEverybodyThroughUntilReinit) {
  completion c;
  std::atomic<int> through = 0;
  auto waiters = asleep_on(c, 3, through);
  c.complete_all();
  waiters.clear();
  EXPECT_EQ(through, 3);
  c.wait();
  c.complete();  // adds nothing to "all"
  EXPECT_TRUE(c.try_wait());
  EXPECT_TRUE(c.done());
  c.reinit();
  EXPECT_FALSE(c.try_wait());
}

TEST(Completion, WhatWasDoneBeforeIsSeen) {
  completion c;
  int value = 0;  // plain: only the completion orders its uses
  std::jthread worker{[&] {
    value = 1;
    c.complete();
  }};
  c.wait();
  EXPECT_EQ(value, 1);
}

TEST(Completion, WhatWasDoneBeforeAllAreLetThroughIsSeen) {
  completion c;
  int value = 0;
  std::jthread worker{[&] {
    value = 1;
    c.complete_all();
  }};
  c.wait();
  EXPECT_EQ(value, 1);
}

TEST(Completion, ADeadlineEndsTheWait) {
  completion c;
  EXPECT_FALSE(c.wait_until(std::chrono::steady_clock::now() - std::chrono::hours{1}));
  EXPECT_FALSE(c.wait_until(std::chrono::steady_clock::time_point{}));
  EXPECT_FALSE(c.wait_for(std::chrono::milliseconds{1}));
  c.complete();
  EXPECT_TRUE(c.wait_until(std::chrono::steady_clock::now() - std::chrono::hours{1}));
  EXPECT_FALSE(c.done());
}

TEST(Completion, ACompletionEndsAWaitWithADeadline) {
  completion c;
  bool came = false;
  sleeper waiter{[&] { came = c.wait_for(std::chrono::hours{1}); }};
  ASSERT_TRUE(waiter.falls_asleep());
  c.complete();
  waiter.join();
  EXPECT_TRUE(came);
}

// The waiter frees it at once, while the other thread may still be inside complete().
TEST(Completion, MayLiveOnTheStackOfTheOneWhoWaits) {
  std::atomic<completion*> current = nullptr;
  std::jthread worker{[&] {
    for (int round = 0; round < rounds; ++round) {
      completion* c = nullptr;
      while ((c = current.exchange(nullptr)) == nullptr) std::this_thread::yield();
      c->complete();
    }
  }};
  for (int round = 0; round < rounds; ++round) {
    const auto c = std::make_unique<completion>();
    current = c.get();
    c->wait();
  }
}

// Each thread waits for the other's step: one wake-up lost and both sleep for ever.
TEST(Completion, LosesNoWakeUp) {
  completion ping;
  completion pong;
  std::jthread other{[&] {
    for (int round = 0; round < rounds; ++round) {
      ping.wait();
      pong.complete();
    }
  }};
  for (int round = 0; round < rounds; ++round) {
    ping.complete();
    pong.wait();
  }
}

// The same with complete_all(): a pair for each round, as nobody may wait at a reinit().
TEST(Completion, CompleteAllLosesNoWakeUp) {
  std::vector<completion> pings(rounds);
  std::vector<completion> pongs(rounds);
  std::jthread other{[&] {
    for (int round = 0; round < rounds; ++round) {
      pings[round].wait();
      pongs[round].complete_all();
    }
  }};
  for (int round = 0; round < rounds; ++round) {
    pings[round].complete_all();
    pongs[round].wait();
  }
}

TEST(CompletionDeathTest, DestroyingOneThatIsWaitedForAborts) {
  EXPECT_DEATH(
      {
        auto c = std::make_unique<completion>();
        sleeper waiter{[&] { c->wait(); }};
        if (waiter.falls_asleep()) c.reset();
      },
      "destroyed while waited for: completion at 0x");
}

}  // namespace
}  // namespace memhp
