#include "locks/futex.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <thread>
#include <vector>

namespace memhp {
namespace {

TEST(SpinUntil, EndsWithTheFirstLookThatIsRight) {
  unsigned looks = 0;
  EXPECT_TRUE(spin_until([&] { return ++looks == 1; }));
  EXPECT_EQ(looks, 1U);
}

// Each look takes the line from the holder: it is few looks, also with nothing to see.
TEST(SpinUntil, LooksAFewTimesAndGivesUp) {
  unsigned looks = 0;
  EXPECT_FALSE(spin_until([&] { return ++looks == 0; }));
  EXPECT_EQ(looks, spin_limit() + 1);
  EXPECT_LE(looks, 9U);
}

std::vector<int> allowed_cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  return cpus;
}

void pin_to(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof one, &one);
}

// Exits with what spin_limit() says to a thread of a new process.
[[noreturn]] void exit_with_limit_of_pinned(int main_cpu, int thread_cpu) {
  pin_to(main_cpu);
  spin_limit();  // the main thread asks first, and knows of its own CPU only
  std::thread{[thread_cpu] {
    pin_to(thread_cpu);
    std::_Exit(static_cast<int>(spin_limit()));
  }}.join();
  std::abort();
}

TEST(SpinLimitDeathTest, ThreadsWithACpuEachSpin) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::vector<int> cpus = allowed_cpus();
  if (cpus.size() < 2) GTEST_SKIP() << "needs two CPUs";
  EXPECT_EXIT(exit_with_limit_of_pinned(cpus[0], cpus[1]), testing::ExitedWithCode(8),
              "");
}

TEST(SpinLimitDeathTest, ThreadsOnOneCpuDoNot) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const int cpu = allowed_cpus().front();
  EXPECT_EXIT(exit_with_limit_of_pinned(cpu, cpu), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace memhp
