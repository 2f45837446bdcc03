#include "locks/lock_stat.h"

#include <gmock/gmock.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barrier>
#include <random>
#include <thread>

namespace memhp {
namespace {

using lock_stat::did_not_wait;
using lock_stat::hold_mode;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t a_class = 3;
constexpr std::uint32_t another_class = 700;  // on another page of the tables

#ifdef __SANITIZE_THREAD__
constexpr int many = 2'000;
#else
constexpr int many = 50'000;
#endif

class LockStat : public testing::Test {
 protected:
  LockStat() { lock_stat::reset(); }
  ~LockStat() override {
    lock_stat::set_on(false);
    lock_stat::set_clock(nullptr);
  }
};

const void* ip(std::uintptr_t address) {
  return reinterpret_cast<const void*>(address);
}

TEST_F(LockStat, IsOffUntilSwitchedOn) {
  EXPECT_FALSE(lock_stat::on());
  lock_stat::set_on(true);
  EXPECT_TRUE(lock_stat::on());
}

TEST_F(LockStat, CountsHolds) {
  for (const std::uint64_t ns : {30, 10, 20})
    lock_stat::released(a_class, hold_mode::write, ns);
  const lock_times hold = lock_stat::snapshot(a_class).write.hold;
  EXPECT_EQ(hold.nr, 3U);
  EXPECT_EQ(hold.total_ns, 60U);
  EXPECT_EQ(hold.min_ns, 10U);
  EXPECT_EQ(hold.max_ns, 30U);
  EXPECT_EQ(hold.average_ns(), 20U);
  EXPECT_EQ(hold.histogram[3], 1U);  // 8 to 15
  EXPECT_EQ(hold.histogram[4], 2U);  // 16 to 31
}

TEST_F(LockStat, KeepsReadersAndWritersApart) {
  lock_stat::released(a_class, hold_mode::read, 1);
  lock_stat::acquired(a_class, hold_mode::write, 5, true);
  const lock_class_stats stats = lock_stat::snapshot(a_class);
  EXPECT_EQ(stats.read.hold.nr, 1U);
  EXPECT_EQ(stats.write.hold.nr, 0U);
  EXPECT_EQ(stats.read.wait.nr, 0U);
  EXPECT_EQ(stats.write.wait.nr, 1U);
  EXPECT_EQ(stats.write.acquired_bounces, 1U);
}

TEST_F(LockStat, KeepsClassesApart) {
  lock_stat::released(a_class, hold_mode::write, 1);
  EXPECT_EQ(lock_stat::snapshot(another_class), lock_class_stats{});
}

TEST_F(LockStat, FindingALockFreeIsNoContention) {
  lock_stat::acquired(a_class, hold_mode::write, did_not_wait, true);
  EXPECT_EQ(lock_stat::snapshot(a_class).contentions(), 0U);
  EXPECT_EQ(lock_stat::snapshot(a_class).write.acquired_bounces, 1U);
}

TEST_F(LockStat, RemembersFourPointsOfContention) {
  for (std::uintptr_t at : {1, 2, 1, 3, 4, 5, 1})
    lock_stat::contended(a_class, hold_mode::read, ip(at), ip(9), at == 2);
  const lock_class_stats stats = lock_stat::snapshot(a_class);
  EXPECT_THAT(stats.contention_points,
              ElementsAre(contention_point{ip(1), 3}, contention_point{ip(2), 1},
                          contention_point{ip(3), 1}, contention_point{ip(4), 1}));
  EXPECT_THAT(stats.contending_points, ElementsAre(contention_point{ip(9), 7}));
  EXPECT_EQ(stats.read.contended_bounces, 1U);
}

TEST_F(LockStat, ResetForgetsEverything) {
  lock_stat::contended(a_class, hold_mode::write, ip(1), ip(2), true);
  lock_stat::acquired(a_class, hold_mode::write, 5, true);
  lock_stat::released(a_class, hold_mode::write, 5);
  std::thread{[] { lock_stat::released(a_class, hold_mode::write, 5); }}.join();
  lock_stat::reset();
  EXPECT_EQ(lock_stat::snapshot(a_class), lock_class_stats{});
  lock_stat::released(a_class, hold_mode::write, 7);
  EXPECT_EQ(lock_stat::snapshot(a_class).write.hold.total_ns, 7U);
  EXPECT_EQ(lock_stat::snapshot(a_class).write.hold.min_ns, 7U);
}

TEST_F(LockStat, EndedThreadsStayCounted) {
  constexpr int threads = 20;
  for (int i = 0; i < threads; ++i)
    std::thread{[] { lock_stat::released(another_class, hold_mode::read, 2); }}.join();
  EXPECT_EQ(lock_stat::snapshot(another_class).read.hold.nr, 20U);
  EXPECT_EQ(lock_stat::snapshot(another_class).read.hold.total_ns, 40U);
}

TEST_F(LockStat, DestructorsOfAnEndingThreadStillCount) {
  struct last_words {
    ~last_words() { lock_stat::released(a_class, hold_mode::write, 4); }
  };
  std::thread{[] {
    thread_local last_words words;  // made before the counters, so destroyed after them
    (void)&words;
    lock_stat::released(a_class, hold_mode::write, 1);
  }}.join();
  EXPECT_EQ(lock_stat::snapshot(a_class).write.hold.nr, 2U);
  EXPECT_EQ(lock_stat::snapshot(a_class).write.hold.total_ns, 5U);
}

TEST_F(LockStat, NoCountOfManyThreadsIsLost) {
  constexpr int threads = 4;
  std::vector<std::thread> counting;
  for (int i = 0; i < threads; ++i)
    counting.emplace_back([] {
      for (int n = 0; n < many; ++n) {
        lock_stat::contended(a_class, hold_mode::write, ip(1), ip(2), true);
        lock_stat::acquired(a_class, hold_mode::write, 1, false);
        lock_stat::released(a_class, hold_mode::read, 3);
      }
    });
  while (lock_stat::snapshot(a_class).read.hold.nr < many) std::this_thread::yield();
  for (std::thread& thread : counting) thread.join();
  const lock_class_stats stats = lock_stat::snapshot(a_class);
  EXPECT_EQ(stats.write.contended_bounces, std::uint64_t{threads} * many);
  EXPECT_EQ(stats.contentions(), std::uint64_t{threads} * many);
  EXPECT_EQ(stats.read.hold.total_ns, std::uint64_t{threads} * many * 3);
  EXPECT_THAT(stats.contention_points,
              ElementsAre(contention_point{ip(1), std::uint64_t{threads} * many}));
}

TEST_F(LockStat, WhatALivingThreadCountedBeforeAResetIsForgotten) {
  std::barrier step{2};
  std::thread counting{[&] {
    lock_stat::released(a_class, hold_mode::write, 1000);
    step.arrive_and_wait();  // counted
    step.arrive_and_wait();  // reset
    lock_stat::released(a_class, hold_mode::write, 1);
    step.arrive_and_wait();  // counted again
    step.arrive_and_wait();  // looked at, while this thread lives
  }};
  step.arrive_and_wait();
  lock_stat::reset();
  EXPECT_EQ(lock_stat::snapshot(a_class), lock_class_stats{});
  step.arrive_and_wait();
  step.arrive_and_wait();
  EXPECT_EQ(lock_stat::snapshot(a_class).write.hold.total_ns, 1U);
  EXPECT_EQ(lock_stat::snapshot(a_class).write.hold.max_ns, 1U);
  step.arrive_and_wait();
  counting.join();
}

TEST_F(LockStat, ClassesBeyondTheTableAreLeftOut) {
  lock_stat::released(lock_stat::max_classes, hold_mode::write, 1);
  lock_stat::contended(lock_stat::max_classes, hold_mode::write, ip(1), ip(1), true);
  EXPECT_EQ(lock_stat::snapshot(lock_stat::max_classes), lock_class_stats{});
}

TEST_F(LockStat, TheClockIsWhatItIsSetTo) {
  lock_stat::set_clock(+[]() -> std::uint64_t { return 42; });
  EXPECT_EQ(lock_stat::now(), 42U);
  lock_stat::set_clock(nullptr);
  const std::uint64_t before = lock_stat::now();
  EXPECT_GE(lock_stat::now(), before);
  EXPECT_NE(before, 42U);
}

TEST_F(LockStat, AChildGoesOnWithTheFigures) {
  lock_stat::released(a_class, hold_mode::write, 1);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    lock_stat::released(a_class, hold_mode::write, 1);
    _exit(lock_stat::snapshot(a_class).write.hold.nr == 2 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(LockTimes, MergedTimesAreTheTimesOfBoth) {
  std::mt19937_64 random{20};
  lock_times halves[2];
  lock_times all;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t ns = random() >> (random() % 64);
    lock_times one{.nr = 1, .total_ns = ns, .min_ns = ns, .max_ns = ns};
    one.histogram[lock_times::bucket_of(ns)] = 1;
    halves[i % 2].merge(one);
    all.merge(one);
  }
  halves[0].merge(halves[1]);
  EXPECT_EQ(halves[0], all);
  EXPECT_EQ(lock_times{}.average_ns(), 0U);
}

TEST(LockTimes, BucketsAreWholePowersOfTwo) {
  EXPECT_EQ(lock_times::bucket_of(0), 0U);
  EXPECT_EQ(lock_times::bucket_of(1), 0U);
  EXPECT_EQ(lock_times::bucket_of(2), 1U);
  EXPECT_EQ(lock_times::bucket_of(1023), 9U);
  EXPECT_EQ(lock_times::bucket_of(1024), 10U);
  EXPECT_EQ(lock_times::bucket_of(UINT64_MAX), lock_times::buckets - 1);
}

TEST(LockCpu, KnowsWhereALockWasTakenLast) {
  cpu_set_t allowed;
  ASSERT_EQ(pthread_getaffinity_np(pthread_self(), sizeof(allowed), &allowed), 0);
  if (CPU_COUNT(&allowed) < 2) GTEST_SKIP() << "one CPU only";
  std::vector<int> cpus;
  for (int cpu = 0; cpus.size() < 2; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  const auto go_to = [](int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ASSERT_EQ(pthread_setaffinity_np(pthread_self(), sizeof(one), &one), 0);
  };
  lock_cpu last;
  go_to(cpus[0]);
  EXPECT_FALSE(last.is_elsewhere());
  EXPECT_FALSE(last.move_here());
  EXPECT_FALSE(last.move_here());
  go_to(cpus[1]);
  EXPECT_TRUE(last.is_elsewhere());
  EXPECT_TRUE(last.move_here());
  EXPECT_FALSE(last.is_elsewhere());
  pthread_setaffinity_np(pthread_self(), sizeof(allowed), &allowed);
}

}  // namespace
}  // namespace memhp
