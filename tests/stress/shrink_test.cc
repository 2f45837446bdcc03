#include "stress/shrink.h"

#include <gtest/gtest.h>

namespace memhp::stress {
namespace {

std::vector<record> calls_on(std::size_t count) {
  std::vector<record> calls(count);
  for (std::size_t i = 0; i < count; ++i) calls[i].target = i;
  return calls;
}

bool contains(const std::vector<record>& calls, std::uint64_t target) {
  return std::ranges::find(calls, target, &record::target) != calls.end();
}

TEST(Shrink, LeavesTheTwoCallsThatTogetherFail) {
  const auto fails = [](const std::vector<record>& calls) {
    return contains(calls, 17) && contains(calls, 90);
  };
  const auto left = shrink(calls_on(100), fails, 1000);
  ASSERT_EQ(left.size(), 2U);
  EXPECT_EQ(left[0].target, 17U);
  EXPECT_EQ(left[1].target, 90U);
}

TEST(Shrink, AsksNoMoreOftenThanAllowed) {
  std::size_t asked = 0;
  const auto left =
      shrink(calls_on(1000), [&](const auto&) { return ++asked, false; }, 50);
  EXPECT_EQ(asked, 50U);
  EXPECT_EQ(left.size(), 1000U);
}

}  // namespace
}  // namespace memhp::stress
