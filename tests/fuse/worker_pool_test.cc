#include "fuse/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <thread>

namespace memhp {
namespace {

using namespace std::chrono_literals;

TEST(WorkerPool, AThousandJobsThatWaitForTheLastOneAllFinish) {
  worker_pool pool;
  std::latch everybody{1000};
  std::atomic<int> finished = 0;
  for (int i = 0; i < 1000; ++i)
    ASSERT_TRUE(pool.submit([&] {
      everybody.arrive_and_wait();
      ++finished;
    }));
  ASSERT_TRUE(pool.wait_idle(60s));
  EXPECT_EQ(finished, 1000);
}

TEST(WorkerPool, AnIdleThreadIsUsedAgain) {
  worker_pool pool;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(pool.submit([] {}));
    ASSERT_TRUE(pool.wait_idle(60s));
  }
  EXPECT_LE(pool.threads(), 2u);
}

TEST(WorkerPool, IdleThreadsEnd) {
  worker_pool pool{100, 1ms};
  std::latch together{20};
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(pool.submit([&] { together.arrive_and_wait(); }));
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (pool.threads() != 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_EQ(pool.threads(), 0u);
  EXPECT_TRUE(pool.submit([] {}));
}

TEST(WorkerPool, BeyondTheLimitAJobIsRefusedNotQueued) {
  worker_pool pool{2};
  std::latch release{1};
  ASSERT_TRUE(pool.submit([&] { release.wait(); }));
  ASSERT_TRUE(pool.submit([&] { release.wait(); }));
  EXPECT_FALSE(pool.submit([] {}));
  EXPECT_FALSE(pool.wait_idle(0ms));
  release.count_down();
  EXPECT_TRUE(pool.wait_idle(60s));
}

TEST(WorkerPool, ItsEndWaitsForRunningJobs) {
  std::atomic<bool> done = false;
  std::latch started{1};
  {
    worker_pool pool;
    ASSERT_TRUE(pool.submit([&] {
      started.count_down();
      std::this_thread::yield();
      done = true;
    }));
    started.wait();
  }
  EXPECT_TRUE(done);
}

TEST(WorkerPool, AJobIsDestroyedBeforeItCountsAsOver) {
  worker_pool pool;
  auto held = std::make_shared<int>(1);
  ASSERT_TRUE(pool.submit([held] {}));
  ASSERT_TRUE(pool.wait_idle(60s));
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace memhp
