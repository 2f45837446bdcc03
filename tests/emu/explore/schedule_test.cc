#include "emu/explore/schedule.h"

#include <gtest/gtest.h>

namespace memhp {
namespace {

TEST(Schedule, WritesRunsOfATaskAsANumber) {
  EXPECT_EQ(to_string(schedule{{1, 1, 1, 2, 1}, {}}), "a3ba");
  EXPECT_EQ(to_string(schedule{{26, 27, 52}, 0x8e1f}), "zAZ#8e1f");
  EXPECT_EQ(to_string(schedule{}), "");
}

TEST(Schedule, ReadsWhatItWrites) {
  const schedule once{{1, 2, 2, 2, 52, 1}, 0xffff'ffff'ffff'ffff};
  const auto again = schedule_from(to_string(once));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->tasks, once.tasks);
  EXPECT_EQ(again->digest, once.digest);
}

TEST(Schedule, RefusesWhatIsNone) {
  for (const char* text : {"a0", "3a", "a-1", "a b", "a#", "a#xyz", "a#1 ", "a9999999999",
                           "a99999999999999999999999", "#", "a##1"})
    EXPECT_FALSE(schedule_from(text)) << text;
}

}  // namespace
}  // namespace memhp
