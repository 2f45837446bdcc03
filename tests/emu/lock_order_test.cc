// What the validator makes of a whole machine: quiet with the patched order, and the
// kernel's report where a removal waits for sysfs files under mem_hotplug_lock.
#include "tests/emu/machine_fixture.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

// Everything that takes hotplug locks, one after the other on one thread.
void use_everything(test_machine& m) {
  const std::string dir{memory_dir};
  EXPECT_EQ(m.write(dir + "/memory32/state", "online_movable"), 0);
  EXPECT_EQ(m.write(dir + "/memory32/online", "0"), 0);
  EXPECT_EQ(m.write(dir + "/memory33/online", "1"), 0);
  EXPECT_EQ(m.write(dir + "/memory33/state", "offline"), 0);
  EXPECT_EQ(m.write(dir + "/auto_online_blocks", "online"), 0);
  EXPECT_EQ(m.write(dir + "/probe", "0x180000000"), 0);
  m.read(dir + "/memory3/valid_zones");
  m.read(std::string{node_dir} + "/node0/meminfo");
  EXPECT_EQ(m.eject(0), 0);
}

TEST(LockOrder, OfThePatchedKernelIsQuiet) {
  const recorded_reports reports;
  test_machine m{with_dimm(2)};
  use_everything(m);
  for (const lockdep_report& report : reports.all())
    ADD_FAILURE() << to_text(report, report_format_6_1);
  EXPECT_GT(lockdep::count().direct_dependencies, 10U);  // it did look
}

TEST(LockOrder, FlushingTheHotplugQueueUnderALockThatItsWorkTakesIsReported) {
  const recorded_reports reports;
  test_machine m{with_dimm(1)};
  EXPECT_EQ(m.eject(0), 0);
  guard hold{m.k().locks.acpi_scan_lock};
  m->flush_workqueues();
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_THAT(to_text(reports.all().front(), report_format_6_1),
              testing::HasSubstr("(wq_completion)kacpi_hotplug"));
}

TEST(LockOrder, ARemovalThatWaitsUnderMemHotplugLockIsReported) {
  const recorded_reports reports;
  machine_config config = with_dimm(2);
  config.rules.removal = remove_devices::under_mem_hotplug_lock;
  test_machine m{config};
  use_everything(m);
  ASSERT_GE(reports.count(), 1U);
  const std::string text = to_text(reports.all().front(), report_format_6_1);
  EXPECT_THAT(text, testing::ContainsRegex(
                        "Chain exists of:\n +kn->active(#[0-9]+)? --> cpu_hotplug_lock "
                        "--> mem_hotplug_lock"));
  EXPECT_THAT(text, testing::HasSubstr("drain+"));
  EXPECT_THAT(text, testing::HasSubstr("remove_memory"));
}

}  // namespace
}  // namespace memhp
