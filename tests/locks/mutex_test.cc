#include "locks/mutex.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "locks/guards.h"

namespace memhp {
namespace {

TEST(Mutex, KeepsThreadsApart) {
  constexpr int threads = 4;
  constexpr int rounds = 20'000;
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

}  // namespace
}  // namespace memhp
