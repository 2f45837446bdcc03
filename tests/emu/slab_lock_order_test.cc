// What the validator makes of the slab allocator in the eras of seeds 003 and 004 and
// after their fixes: one thread does everything in turn, and nothing has to hang.
#include "emu/slab_debug_files.h"
#include "tests/emu/slab_fixture.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

// The names in this order, whatever stands between them.
void expect_in_order(const std::string& text, const std::vector<std::string>& names) {
  std::size_t at = 0;
  for (const std::string& name : names) {
    const std::size_t found = text.find(name, at);
    ASSERT_NE(found, std::string::npos) << name << " is missing behind " << at << " of\n"
                                        << text;
    at = found + name.size();
  }
}

void use_all_caches(slab_machine& m) {
  task kthread;
  const cache_ref root = m.create("box", {.object_size = 256});
  (void)m.slab().memcg_create_kmem_cache(root, 1);
  (void)m.alloc(root, 0);
  (void)m.alloc(root, 1);
  EXPECT_EQ(m.put("box", "min_partial", "7"), 0);
  EXPECT_EQ(m.put("box", "shrink", "1"), 0);
  m.cache_file("box", "objects");
  EXPECT_EQ(m.set(6, "offline"), 0);
  EXPECT_EQ(m.set(6, "online"), 0);
  EXPECT_TRUE(torture_onoff(m.k(), 3, kthread));
  EXPECT_TRUE(torture_stats(m.k(), 3, kthread));
  const cache_ref other = m.create("other", {.object_size = 64});
  EXPECT_EQ(m.put("other", "min_partial", "7"), 0);
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(other)), 0);
  m->flush_workqueues();
}

TEST(SlabLockOrder, OfThePatchedKernelIsQuiet) {
  const recorded_reports reports;
  slab_machine m;
  use_all_caches(m);
  for (const lockdep_report& report : reports.all())
    ADD_FAILURE() << to_text(report, report_format_6_1);
}

// As 6.1 has it: no children, flushes by work, files removed after the locks.
TEST(SlabLockOrder, Of61IsQuiet) {
  const recorded_reports reports;
  machine_config config = two_nodes();
  config.rules.cache_files = cache_files_removal::after_locks;
  config.rules.cache_store = cache_store_reach::own_cache_only;
  config.rules.slab.flush = cache_flush_way::by_work;
  slab_machine m{config};
  use_all_caches(m);
  for (const lockdep_report& report : reports.all())
    ADD_FAILURE() << to_text(report, report_format_6_1);
}

TEST(SlabLockOrder, OfSeed003IsReported) {
  const recorded_reports reports;
  machine_config config = two_nodes();
  config.rules.debug_key = debug_key_enabled::in_cache_open;
  config.rules.slab.destroy = cache_destroy_locks::slab_only;
  slab_machine m{config};
  task kthread;
  EXPECT_TRUE(torture_onoff(m.k(), 1, kthread));
  EXPECT_EQ(reports.count(), 0U);
  EXPECT_TRUE(torture_stats(m.k(), 1, kthread));
  ASSERT_EQ(reports.count(), 1U);
  expect_in_order(to_text(reports.all().front(), report_format_5_7),
                  {"WARNING: possible circular locking dependency detected",
                   "is trying to acquire lock",
                   "(cpu_hotplug_lock){++++}-{0:0}, at: ",
                   "but task is already holding lock",
                   "(slab_mutex){+.+.}-{3:3}, at: ",
                   "-> #1 (slab_mutex){+.+.}-{3:3}:",
                   "slub_cpu_dead",
                   "cpuhp_invoke_callback",
                   "cpuhp_invoke_callback_range",
                   "_cpu_down",
                   "cpu_down",
                   "device_offline",
                   "remove_cpu",
                   "torture_onoff",
                   "-> #0 (cpu_hotplug_lock){++++}-{0:0}:",
                   "static_key_enable",
                   "kmem_cache_open",
                   "kmem_cache_create_usercopy",
                   "kmem_cache_create",
                   "torture_stats",
                   "lock(slab_mutex);",
                   "lock(cpu_hotplug_lock);",
                   "lock(slab_mutex);",
                   "lock(cpu_hotplug_lock);",
                   "*** DEADLOCK ***",
                   "1 lock held by",
                   "(slab_mutex)"});
}

TEST(SlabLockOrder, OfSeed004IsReported) {
  const recorded_reports reports;
  machine_config config = two_nodes();
  config.rules.cache_files = cache_files_removal::under_slab_mutex;
  slab_machine m{config};
  const cache_ref cache = m.create("box", {.object_size = 256});
  EXPECT_EQ(m.put("box", "min_partial", "7"), 0);
  EXPECT_EQ(reports.count(), 0U);
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  ASSERT_GE(reports.count(), 1U);
  expect_in_order(to_text(reports.all().front(), report_format_5_7),
                  {"is trying to acquire lock",
                   "(kn->active",
                   "at: ",
                   "but task is already holding lock",
                   "(slab_mutex){+.+.}",
                   "at: ",
                   "-> #1 (slab_mutex){+.+.}",
                   "slab_attr_store",
                   "-> #0 (kn->active",
                   "kernfs_root::remove",
                   "kobject_del",
                   "shutdown_cache",
                   "kmem_cache_destroy",
                   "lock(slab_mutex);",
                   "lock(kn->active",
                   "lock(slab_mutex);",
                   "lock(kn->active",
                   "2 locks held by",
                   "(cpu_hotplug_lock)",
                   "(slab_mutex)"});
}

// d50d82faa0c9 brought the cycle back.
TEST(SlabLockOrder, OfDeletionUnderSlabMutexIsReportedAgain) {
  const recorded_reports reports;
  machine_config config = two_nodes();
  config.rules.cache_files = cache_files_removal::deleted_under_slab_mutex;
  slab_machine m{config};
  const cache_ref cache = m.create("box", {.object_size = 256});
  EXPECT_EQ(m.put("box", "min_partial", "7"), 0);
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  EXPECT_GE(reports.count(), 1U);
}

// The cycle of three that 5.15 made and 0495e337b703 ended: no store takes slab_mutex any
// more, but flushes take cpu_hotplug_lock.
TEST(SlabLockOrder, OfDeletionUnderSlabMutexIsReportedWhenFlushesWaitForWork) {
  const recorded_reports reports;
  machine_config config = two_nodes();
  config.rules.cache_files = cache_files_removal::deleted_under_slab_mutex;
  config.rules.cache_store = cache_store_reach::own_cache_only;
  config.rules.slab.flush = cache_flush_way::by_work;
  slab_machine m{config};
  task kthread;
  const cache_ref cache = m.create("box", {.object_size = 256});
  EXPECT_EQ(m.put("box", "shrink", "1"), 0);
  EXPECT_TRUE(torture_onoff(m.k(), 1, kthread));
  EXPECT_EQ(error_of(m.slab().kmem_cache_destroy(cache)), 0);
  ASSERT_GE(reports.count(), 1U);
  expect_in_order(to_text(reports.all().front(), report_format_5_7),
                  {"(kn->active", "(slab_mutex)", "Chain exists of:"});
}

}  // namespace
}  // namespace memhp
