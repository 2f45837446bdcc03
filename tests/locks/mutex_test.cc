#include "locks/mutex.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "locks/guards.h"

namespace memhp {
namespace {

void unlock_unheld(mutex& m) NO_THREAD_SAFETY_ANALYSIS {
  m.unlock();
}

TEST(Mutex, KnowsItsHolder) {
  mutex m{"m"};
  EXPECT_FALSE(m.held_by_me());
  {
    guard hold{m};
    EXPECT_TRUE(m.held_by_me());
    m.assert_held();
    std::thread{[&] { EXPECT_FALSE(m.held_by_me()); }}.join();
  }
  EXPECT_FALSE(m.held_by_me());
}

TEST(Mutex, TryLockFailsWhileAnotherThreadHoldsIt) {
  mutex m{"m"};
  const auto try_elsewhere = [&] {
    bool got = false;
    std::thread{[&] {
      if (!m.try_lock()) return;
      got = m.held_by_me();
      m.unlock();
    }}.join();
    return got;
  };
  {
    guard hold{m};
    EXPECT_FALSE(try_elsewhere());
  }
  EXPECT_TRUE(try_elsewhere());
}

TEST(Mutex, KeepsThreadsApart) {
  constexpr int threads = 4;
  constexpr int rounds = 20'000;
  mutex m{"m"};
  int count = 0;  // not atomic: lost updates would show
  std::vector<std::jthread> workers;
  for (int i = 0; i < threads; ++i)
    workers.emplace_back([&] {
      for (int round = 0; round < rounds; ++round) {
        guard hold{m};
        ++count;
      }
    });
  workers.clear();
  EXPECT_EQ(count, threads * rounds);
}

TEST(MutexDeathTest, UnlockByAThreadThatDoesNotHoldItAborts) {
  mutex m{"some_lock"};
  EXPECT_DEATH(unlock_unheld(m), "unlock of a lock that is not held: some_lock");
  guard hold{m};
  EXPECT_DEATH(std::thread{[&] { unlock_unheld(m); }}.join(), "some_lock");
}

TEST(MutexDeathTest, AssertHeldAbortsWithTheName) {
  mutex m{"some_lock"};
  EXPECT_DEATH(m.assert_held(), "lock must be held here: some_lock");
}

}  // namespace
}  // namespace memhp
