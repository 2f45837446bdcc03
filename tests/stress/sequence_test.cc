#include "stress/sequence.h"

#include <gtest/gtest.h>

namespace memhp::stress {
namespace {

TEST(Sequence, DependsOnSeedAndWorkerAlone) {
  sequence one{7, 3};
  sequence same{7, 3};
  sequence other_worker{7, 4};
  sequence other_seed{8, 3};
  const std::uint64_t first = one.next();
  EXPECT_EQ(first, same.next());
  EXPECT_NE(first, other_worker.next());
  EXPECT_NE(first, other_seed.next());
}

TEST(Sequence, BelowStaysBelow) {
  sequence numbers{1, 0};
  bool seen[5] = {};
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t value = numbers.below(5);
    ASSERT_LT(value, 5U);
    seen[value] = true;
  }
  for (const bool each : seen) EXPECT_TRUE(each);
  EXPECT_EQ(numbers.below(0), 0U);
}

}  // namespace
}  // namespace memhp::stress
