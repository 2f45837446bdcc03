#include "locks/rwsem.h"

#include <gtest/gtest.h>

#include <barrier>
#include <thread>
#include <vector>

#include "locks/guards.h"

namespace memhp {
namespace {

TEST(RwSemaphore, ReadersShareIt) {
  rw_semaphore sem;
  std::barrier both_inside{2};
  const auto reader = [&] {
    read_guard hold{sem};
    both_inside.arrive_and_wait();  // would wait for ever if one kept the other out
  };
  std::jthread other{reader};
  reader();
}

TEST(RwSemaphore, ReadersSeeWhatAWriterDidWhole) {
  rw_semaphore sem;
  int a = 0;
  int b = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 5'000; ++round) {
        guard hold{sem};
        ++a;
        ++b;
      }
    });
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 5'000; ++round) {
        read_guard hold{sem};
        ASSERT_EQ(a, b);
      }
    });
  threads.clear();
  EXPECT_EQ(a, 10'000);
}

}  // namespace
}  // namespace memhp
