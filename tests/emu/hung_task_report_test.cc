// The text about a task that waits too long, from facts made up here.
#include "emu/hung_task_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace memhp {
namespace {

hung_task udevd() {
  hung_task hung{.task = {.comm = "udevd", .pid = 7}, .seconds = 120};
  hung.stack.add({.name = "mem_hotplug_begin"});
  hung.stack.add({.name = "state_store"});
  hung.held.push_back({.lock = {.name = "device_hotplug_lock",
                                .usage = {.write = true},
                                .wait_outer = 3,
                                .wait_inner = 3},
                       .at = {.name = "lock_device_hotplug_sysfs"}});
  hung.waits_for = "lock of mem_hotplug.lock, held by kworker";
  return hung;
}

TEST(HungTaskReport, SaysWhoWaitsAndWhere) {
  EXPECT_EQ(
      to_text(udevd(), report_format_6_1),
      "INFO: task udevd:7 blocked for more than 120 seconds.\n"
      "      Not tainted memhp #1\n"
      "\"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.\n"
      "task:udevd           state:D stack:0     pid:7     ppid:2      flags:0x00004000\n"
      "waits for: lock of mem_hotplug.lock, held by kworker\n"
      "Call Trace:\n"
      " <TASK>\n"
      " mem_hotplug_begin\n"
      " state_store\n"
      " </TASK>\n");
}

TEST(HungTaskReport, OlderKernelsPutNoMarksAroundTheStack) {
  EXPECT_THAT(to_text(udevd(), report_format_4_10),
              testing::Not(testing::HasSubstr("<TASK>")));
}

TEST(HungTaskReport, TheHeldLocksOfAllFollow) {
  const std::vector<hung_task> two{udevd(), udevd()};
  const std::string text = hung_tasks_text(two, report_format_4_10);
  const std::size_t list = text.find("\nShowing all locks held in the system:\n");
  ASSERT_NE(list, std::string::npos);
  EXPECT_GT(list, text.rfind("INFO: task"));
  EXPECT_NE(
      text.find("1 lock held by udevd/7:\n #0:  (device_hotplug_lock){+.+...}, at: ",
                list),
      std::string::npos)
      << text;
}

TEST(HungTaskReport, NobodyIsNoText) {
  EXPECT_EQ(hung_tasks_text({}, report_format_6_1), "");
}

}  // namespace
}  // namespace memhp
