#include "locks/mutex.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "locks/guards.h"
#include "tests/locks/sleeper.h"

namespace memhp {
namespace {

#ifdef __SANITIZE_THREAD__
constexpr int rounds = 5'000;
#else
constexpr int rounds = 50'000;
#endif

static_assert(sizeof(mutex) == 4);

void unlock(mutex& m) NO_THREAD_SAFETY_ANALYSIS {
  m.unlock();
}
void lock(mutex& m) NO_THREAD_SAFETY_ANALYSIS {
  m.lock();
}

TEST(Mutex, KeepsThreadsApart) {
  constexpr int threads = 4;
  mutex m;
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

TEST(Mutex, TryLockFailsWhileItIsHeld) {
  mutex m;
  const auto try_elsewhere = [&] {
    bool got = false;
    std::thread{[&] {
      if (!m.try_lock()) return;
      got = true;
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

// One unlock wakes one sleeper, and he the next: a mark that gets lost on the way would
// leave the last ones asleep.
TEST(Mutex, EverySleeperGetsItsTurn) {
  mutex m;
  int turns = 0;
  lock(m);
  std::vector<std::unique_ptr<sleeper>> sleepers;
  for (int i = 0; i < 4; ++i) {
    sleepers.push_back(std::make_unique<sleeper>([&] {
      guard hold{m};
      ++turns;
    }));
    ASSERT_TRUE(sleepers.back()->falls_asleep());
  }
  EXPECT_EQ(turns, 0);
  unlock(m);
  sleepers.clear();
  EXPECT_EQ(turns, 4);
}

TEST(MutexDeathTest, UnlockOfWhatIsNotHeldAborts) {
  mutex m;
  EXPECT_DEATH(unlock(m), "unlock of what is not held: mutex at 0x");
}

TEST(MutexDeathTest, DestroyingAHeldOneAborts) {
  EXPECT_DEATH(
      {
        mutex m;
        lock(m);
      },
      "destroyed while held: mutex at 0x");
}

}  // namespace
}  // namespace memhp
