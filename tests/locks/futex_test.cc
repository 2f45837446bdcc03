#include "locks/futex.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace memhp
