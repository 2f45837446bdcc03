#include "locks/lockdep_report.h"

#include <gmock/gmock.h>

#include "tests/locks/golden.h"
#include "tests/locks/seed_facts.h"

namespace memhp {
namespace {

using testing::HasSubstr;
using testing::Not;

// Two mutexes in a program, for the reports that no published text shows.
const reported_class table_lock{
    .name = "table_lock", .usage = {.write = true}, .wait_outer = 3, .wait_inner = 3};
const reported_class row_lock{.name = "row_lock",
                              .version = 2,
                              .subclass = 1,
                              .usage = {.write = true, .read = true},
                              .wait_outer = 3,
                              .wait_inner = 3};

template <class Report>
Report program_report() {
  Report report;
  report.kernel = {.release = "memhp", .build = "0.1.0"};
  report.task = {.comm = "worker", .pid = 42, .cpu = 1};
  report.backtrace = trace_of({"insert_row+0x10/0x80", "main+0x20/0x40"});
  return report;
}

reported_lock lock_at(const reported_class& lock, std::uintptr_t instance,
                      std::string_view function, bool read = false) {
  return {.lock = lock,
          .instance = at_address(instance),
          .read = read,
          .at = {.ip = at_address(instance + 1), .name = function}};
}

TEST(LockdepReport, DaxUnbindOf5_5) {
  expect_golden("circular_5.5.txt",
                to_text(dax_kmem_unbind_report(), report_format_4_17));
}

TEST(LockdepReport, SlabDebugOf5_12) {
  expect_golden("circular_5.12.txt", to_text(slab_debug_report(), report_format_5_7));
}

TEST(LockdepReport, SlabRemovalOf4_10) {
  expect_golden("circular_4.10.txt", to_text(slab_remove_report(), report_format_4_10));
}

TEST(LockdepReport, SixOneSaysWhatIsRead) {
  const std::string text = to_text(slab_debug_report(), report_format_6_1);
  EXPECT_THAT(text, HasSubstr("  lock(slab_mutex);\n"));
  EXPECT_THAT(text, HasSubstr("\n  rlock(cpu_hotplug_lock);\n"));
  EXPECT_THAT(to_text(slab_debug_report(), report_format_5_16), Not(HasSubstr("rlock(")));
}

TEST(LockdepReport, CyclesOfTwoHaveNoChain) {
  EXPECT_THAT(to_text(slab_debug_report(), report_format_5_7),
              Not(HasSubstr("Chain exists of")));
}

TEST(LockdepReport, LongCyclesNameThreeLocks) {
  circular_report report = dax_kmem_unbind_report();
  circular_report::link between;
  between.lock.name = "acpi_scan_lock";
  report.chain.insert(report.chain.begin() + 1, between);
  EXPECT_THAT(to_text(report, report_format_5_7),
              HasSubstr("Chain exists of:\n  kn->count#241 --> cpu_hotplug_lock --> "
                        "mem_hotplug_lock\n"));
}

TEST(LockdepReport, PercpuRwsemsAreNamedAsTheirEraDoes) {
  const reported_class mem{
      .name = "mem_hotplug_lock", .version = 2, .percpu_rwsem = true};
  EXPECT_EQ(name_text(mem, report_format_4_11), "mem_hotplug_lock#2");
  EXPECT_EQ(name_text(mem, report_format_4_13), "mem_hotplug_lock.rw_sem#2");
  EXPECT_EQ(name_text(mem, report_format_4_17), "mem_hotplug_lock.rw_sem#2");
  EXPECT_EQ(name_text(mem, report_format_5_7), "mem_hotplug_lock#2");
  EXPECT_EQ(name_text(row_lock, report_format_4_17), "row_lock#2/1");
}

TEST(LockdepReport, UsageHasAPlaceForWhatWasDone) {
  EXPECT_EQ(usage_text({}, report_format_6_1), "....");
  EXPECT_EQ(usage_text({.write = true}, report_format_6_1), "+.+.");
  EXPECT_EQ(usage_text({.read = true}, report_format_6_1), ".+.+");
  EXPECT_EQ(usage_text({.write = true, .read = true}, report_format_6_1), "++++");
  EXPECT_EQ(usage_text({.write = true, .reclaim_write = true}, report_format_4_13),
            "+.+.+.");
  EXPECT_EQ(usage_text({.read = true, .reclaim_read = true}, report_format_4_11),
            ".+.+.+");
  EXPECT_EQ(usage_text({.read = true, .reclaim_read = true}, report_format_4_14), ".+.+");
}

TEST(LockdepReport, EveryEraHasItsOwnHeaderAndUsage) {
  const auto first_lock = [](const report_format& format) {
    const std::string text = to_text(slab_remove_report(), format);
    const auto start = text.find("is trying to acquire lock:\n") + 27;
    return text.substr(start, text.find('\n', start) - start);
  };
  EXPECT_EQ(first_lock(report_format_4_11),
            " (s_active#120){++++.+}, at: [<ffffffff81308073>] kernfs_remove+0x23/0x40");
  EXPECT_EQ(first_lock(report_format_4_14),
            " (s_active#120){++++}, at: [<ffffffff81308073>] kernfs_remove+0x23/0x40");
  EXPECT_EQ(first_lock(report_format_4_17),
            "0000000000000000 (s_active#120){++++}, at: kernfs_remove+0x23/0x40");
  EXPECT_EQ(first_lock(report_format_5_7),
            "0000000000000000 (s_active#120){++++}-{0:0}, at: kernfs_remove+0x23/0x40");
  EXPECT_THAT(to_text(slab_remove_report(), report_format_4_11),
              HasSubstr("\nWARNING: possible circular locking dependency detected\n"));
}

TEST(LockdepReport, Recursion) {
  auto report = program_report<recursive_report>();
  report.blocking = lock_at(row_lock, 0x1000, "update_row+0x8/0x30", true);
  report.wanted = lock_at(row_lock, 0x2000, "insert_row+0x10/0x80");
  report.held = {lock_at(table_lock, 0x3000, "open_table+0x4/0x10"), report.blocking};
  expect_golden("recursive.txt", to_text(report, report_format_6_1));
  expect_golden("recursive_4.10.txt", to_text(report, report_format_4_10));
}

TEST(LockdepReport, ReleaseOfWhatIsNotHeld) {
  auto report = program_report<bad_unlock_report>();
  report.lock = table_lock;
  report.at = {.ip = at_address(0x4000), .name = "close_table+0x4/0x10"};
  expect_golden("bad_unlock.txt", to_text(report, report_format_6_1));
  report.holder = reported_task{.comm = "other", .pid = 43};
  report.held_as = lock_at(table_lock, 0x3000, "open_table+0x4/0x10");
  EXPECT_THAT(
      to_text(report, report_format_6_1),
      HasSubstr("\nthe lock is held by other/43:\n0000000000003000 (table_lock)"));
}

TEST(LockdepReport, LocksHeldAtExit) {
  auto report = program_report<held_at_exit_report>();
  report.held = {lock_at(table_lock, 0x3000, "open_table+0x4/0x10")};
  expect_golden("held_at_exit.txt", to_text(report, report_format_6_1));
}

TEST(LockdepReport, DestructionOfAHeldLock) {
  auto report = program_report<held_destroyed_report>();
  report.lock = lock_at(table_lock, 0x3000, "open_table+0x4/0x10");
  report.begin = at_address(0x3000);
  report.end = at_address(0x3028);
  report.held = {report.lock};
  expect_golden("held_destroyed.txt", to_text(report, report_format_6_1));
}

TEST(LockdepReport, NestLockThatIsNotHeld) {
  auto report = program_report<nest_lock_report>();
  report.wanted = lock_at(row_lock, 0x1000, "update_row+0x8/0x30");
  report.nest = "table_lock";
  report.held = {lock_at(row_lock, 0x2000, "insert_row+0x10/0x80")};
  expect_golden("nest_lock.txt", to_text(report, report_format_6_1));
}

TEST(LockdepReport, FailedAssertion) {
  auto report = program_report<assert_report>();
  report.assertion = "lockdep_assert_held_write(table_lock)";
  report.file = "table.cc";
  report.line = 17;
  report.at = {.name = "insert_row+0x10/0x80"};
  report.held = {lock_at(row_lock, 0x1000, "update_row+0x8/0x30", true)};
  expect_golden("assert_held.txt", to_text(report, report_format_6_1));
}

}  // namespace
}  // namespace memhp
