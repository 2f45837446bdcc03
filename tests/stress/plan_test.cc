#include "stress/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace memhp::stress {
namespace {

using testing::HasSubstr;

TEST(Plan, ReadsWorkersWithRateAndThinkTime) {
  const auto groups = parse_workers("online=8,read=16@1000,offline=2@5~20,list=1~3");
  ASSERT_TRUE(groups.has_value());
  ASSERT_EQ(groups->size(), 4U);
  EXPECT_EQ((*groups)[0].kind->name, "online");
  EXPECT_EQ((*groups)[0].count, 8U);
  EXPECT_EQ((*groups)[1].rate, 1000U);
  EXPECT_EQ((*groups)[2].rate, 5U);
  EXPECT_EQ((*groups)[2].think_ms, 20U);
  EXPECT_EQ((*groups)[3].rate, 0U);
  EXPECT_EQ((*groups)[3].think_ms, 3U);
}

TEST(Plan, RefusesNonsenseAndSaysWhatToWrite) {
  EXPECT_THAT(parse_workers("fly=1").error(), HasSubstr("write one of probe"));
  for (const char* text : {"online", "online=", "online=0", "online=-1", "online=2@",
                           "online=2@0", "online=2~", "online=1025", "online=1x"})
    EXPECT_THAT(parse_workers(text).error(), HasSubstr("COUNT")) << text;
  EXPECT_FALSE(parse_workers("").has_value());
  EXPECT_FALSE(parse_workers("online=1,,read=1").has_value());
  EXPECT_THAT(parse_workers("online=1000,read=1000").error(), HasSubstr("at most 1024"));
}

TEST(Plan, ReadsDurations) {
  EXPECT_EQ(parse_duration("500ms")->count(), 500);
  EXPECT_EQ(parse_duration("2s")->count(), 2000);
  EXPECT_EQ(parse_duration("10m")->count(), 600'000);
  EXPECT_EQ(parse_duration("1h")->count(), 3'600'000);
  for (const char* text : {"", "s", "0s", "-1s", "2", "2 s", "2d", "999999999h"})
    EXPECT_FALSE(parse_duration(text).has_value()) << text;
}

}  // namespace
}  // namespace memhp::stress
