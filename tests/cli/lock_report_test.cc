#include "cli/lock_report.h"

#include <gmock/gmock.h>

#include <memory>
#include <nlohmann/json.hpp>

namespace memhp {
namespace {

using testing::HasSubstr;

std::unique_ptr<shared_lock_figures> published(bool counting) {
  auto shared = std::make_unique<shared_lock_figures>();
  lock_figures figures{.name = "mem_hotplug_lock"};
  figures.stats.write.wait = {
      .nr = 3, .total_ns = 3'600'000, .min_ns = 9, .max_ns = 2500};
  figures.stats.write.wait.histogram[0] = 1;
  figures.stats.write.wait.histogram[11] = 2;
  figures.stats.write.hold = {.nr = 40, .total_ns = 80, .min_ns = 1, .max_ns = 5};
  figures.stats.write.acquired_bounces = 12;
  figures.contention_points = {{.where = "online_pages+0x37/0x300", .count = 3}};
  shared->publish({figures}, counting);
  return shared;
}

TEST(LockReport, IsATableForPeople) {
  EXPECT_EQ(text_lock_report(*published(true)),
            "lock                             held  contentions   wait avg   wait max "
            "acquisitions   hold avg   hold max\n"
            "mem_hotplug_lock                 write           3     1.2 ms     2.5 us "
            "          40       2 ns       5 ns\n"
            "                                                 3  waited in "
            "online_pages+0x37/0x300\n");
}

TEST(LockReport, SaysHowToCount) {
  EXPECT_THAT(text_lock_report(shared_lock_figures{}),
              HasSubstr("write 1 to its proc/sys/kernel/lock_stat\n"));
  EXPECT_THAT(text_lock_report(*published(false)), HasSubstr("are not counted now"));
}

TEST(LockReport, IsAnObjectForPrograms) {
  const auto report = nlohmann::json::parse(json_lock_report(*published(true), 2));
  EXPECT_EQ(report["counting"], true);
  ASSERT_EQ(report["locks"].size(), 1U);
  const auto& lock = report["locks"][0];
  EXPECT_EQ(lock["name"], "mem_hotplug_lock");
  EXPECT_EQ(lock["write"]["wait"]["nr"], 3);
  EXPECT_EQ(lock["write"]["wait"]["avg_ns"], 1'200'000);
  EXPECT_EQ(lock["write"]["acquired_bounces"], 12);
  EXPECT_EQ(lock["read"]["hold"]["nr"], 0);
  EXPECT_EQ(lock["write"]["wait"]["histogram"],
            nlohmann::json::parse(R"([{"from_ns": 0, "below_ns": 2, "nr": 1},
                                      {"from_ns": 2048, "below_ns": 4096, "nr": 2}])"));
  EXPECT_EQ(lock["contention_points"][0]["where"], "online_pages+0x37/0x300");
}

}  // namespace
}  // namespace memhp
