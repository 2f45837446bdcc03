// What a tour of a whole machine learns, in every era.
#include "emu/scenarios/tour.h"

#include <algorithm>
#include <set>

#include "emu/eras.h"
#include "emu/scenarios/scenario.h"
#include "tests/emu/explore/fibers.h"

namespace memhp {
namespace {

lock_orders learned(std::string_view era, bool validate_dev_mutex = false) {
  auto found = tour_machines(*find_era(era), validate_dev_mutex);
  EXPECT_TRUE(found) << era << ": " << (found ? "" : found.error());
  return found ? std::move(found->learned) : lock_orders{};
}

std::set<std::string> on_cycles(const lock_orders& seen) {
  std::set<std::string> names;
  for (const lock_order& order : seen.orders)
    if (order.on_cycle)
      names.insert({seen.classes[order.held].name, seen.classes[order.wanted].name});
  return names;
}

bool has(const lock_orders& seen, std::string_view held, std::string_view wanted,
         bool on_cycle) {
  return std::ranges::any_of(seen.orders, [&](const lock_order& order) {
    return seen.classes[order.held].name == held &&
           seen.classes[order.wanted].name == wanted && order.on_cycle == on_cycle;
  });
}

TEST(Tour, LearnsTheOrdersOfThePatchedKernelAndNoCycle) {
  const lock_orders seen = learned("patched");
  EXPECT_TRUE(on_cycles(seen).empty());
  EXPECT_TRUE(has(seen, "cpu_hotplug_lock", "mem_hotplug_lock", false));
  EXPECT_TRUE(has(seen, "device_hotplug_lock", "cpu_hotplug_lock", false));
  EXPECT_TRUE(has(seen, "cpu_add_remove_lock", "cpu_hotplug_lock", false));
  EXPECT_TRUE(has(seen, "cpu_hotplug_lock", "slab_mutex", false));
  EXPECT_TRUE(has(seen, "kn->active", "memtrace_mutex", false));
  EXPECT_TRUE(has(seen, "(work_completion)(&dm_device.ha_wrk.wrk)", "device_hotplug_lock",
                  false));
  EXPECT_TRUE(
      has(seen, "(work_completion)(balloon_worker)", "device_hotplug_lock", false));
}

TEST(Tour, OfSeed000HasItsCycleAndNotAfterIt) {
  const lock_orders before = learned("seed-000-before");
  EXPECT_TRUE(has(before, "kn->count", "cpu_hotplug_lock", true));
  EXPECT_TRUE(has(before, "cpu_hotplug_lock", "mem_hotplug_lock", true));
  EXPECT_TRUE(has(before, "mem_hotplug_lock", "kn->count", true));
  EXPECT_FALSE(on_cycles(learned("seed-000-after")).contains("mem_hotplug_lock"));
}

TEST(Tour, OfSeed003HasItsCycleAndNoneAfterIt) {
  const lock_orders before = learned("seed-003-before");
  EXPECT_TRUE(has(before, "cpu_hotplug_lock", "slab_mutex", true));
  EXPECT_TRUE(has(before, "slab_mutex", "cpu_hotplug_lock", true));
  EXPECT_TRUE(on_cycles(learned("seed-003-after")).empty());
}

// A cycle is drawn if and only if the validator reported one; and every step works in
// every kernel.
TEST(Tour, DrawsACycleWhereOneIsReported) {
  for (const kernel_era& era : kernel_eras()) {
    const auto found = tour_machines(era.rules);
    ASSERT_TRUE(found) << era.rules.era << ": " << found.error();
    const bool reported =
        std::ranges::any_of(found->reports, [](const lockdep_report& report) {
          return std::holds_alternative<circular_report>(report);
        });
    EXPECT_EQ(reported, !on_cycles(found->learned).empty()) << era.rules.era;
  }
}

TEST(Tour, ValidatesDevMutexIfWanted) {
  const auto knows_it = [](const lock_orders& seen) {
    return std::ranges::any_of(seen.orders, [&](const lock_order& order) {
      return seen.classes[order.held].name == "&dev->mutex";
    });
  };
  EXPECT_FALSE(knows_it(learned("seed-001-before")));
  const lock_orders seen = learned("seed-001-before", true);
  EXPECT_TRUE(knows_it(seen));
  EXPECT_TRUE(on_cycles(seen).contains("&dev->mutex"));
}

TEST(Tour, LeavesTheValidatorEmptyAndOff) {
  (void)learned("patched");
  EXPECT_FALSE(lockdep::on());
  EXPECT_TRUE(lockdep::orders().orders.empty());
}

TEST(Tour, AScenarioLearnsItsOwnCycleOnly) {
  SKIP_WITHOUT_FIBERS();
  const auto run =
      run_scenario(remove_vs_online, remove_vs_online.before, {.learn = true});
  ASSERT_TRUE(run);
  EXPECT_EQ(on_cycles(run->learned),
            (std::set<std::string>{"kn->count", "cpu_hotplug_lock", "mem_hotplug_lock"}));
  EXPECT_EQ(std::ranges::count_if(run->learned.orders, &lock_order::on_cycle), 3);
  const auto after =
      run_scenario(remove_vs_online, remove_vs_online.after, {.learn = true});
  ASSERT_TRUE(after);
  EXPECT_FALSE(after->learned.orders.empty());
  EXPECT_TRUE(on_cycles(after->learned).empty());
  EXPECT_TRUE(run_scenario(remove_vs_online, patched, {})->learned.orders.empty());
}

}  // namespace
}  // namespace memhp
