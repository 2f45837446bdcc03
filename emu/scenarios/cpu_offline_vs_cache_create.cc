// Seed 003: a CPU that goes down against a slab cache with debug flags.
#include "emu/kernel.h"
#include "emu/scenarios/scenario.h"
#include "emu/slab_debug_files.h"

namespace memhp {
namespace {

void onoff(machine& m) {
  task kthread;
  (void)torture_onoff(m.kernel(), 1, kthread);
}
void stats(machine& m) {
  task kthread;
  (void)torture_stats(m.kernel(), 1, kthread);
}

}  // namespace

const scenario cpu_offline_vs_cache_create{
    .name = "cpu-offline-vs-cache-create",
    .seed = 3,
    .story =
        {"kmem_cache_create() with debug flags enables a static key under slab_mutex, "
         "and",
         "that reads cpu_hotplug_lock. A CPU that goes down holds it to write and calls",
         "slub_cpu_dead(), which wants slab_mutex."},
    .before = seed_era(3, seed_side::before).rules,
    .after = seed_era(3, seed_side::after).rules,
    .config = {.memory = 512 * MiB, .cpus = 4},
    .setup = [](machine&) {},
    .tasks = {{"torture_onoff", onoff}, {"rcu_torture_sta", stats}},
    .steps = {{"rcu_torture_sta", "before: kmem_cache_create: slab_mutex"},
              {"rcu_torture_sta", "static_key_enable: wants cpu_hotplug_lock to read"},
              {"torture_onoff", "cpu_down: cpu_hotplug_lock to write"},
              {"torture_onoff", "slub_cpu_dead: wants slab_mutex"},
              {"rcu_torture_sta", "before: waits for cpu_hotplug_lock, under slab_mutex"},
              {"rcu_torture_sta", "after: slab_mutex only now"}},
    .forced = {{"rcu_torture_sta", {"cpu_hotplug_lock"}}, {"torture_onoff"}},
    .reported_in = "kmem_cache_create",
    .reported_lock = "slab_mutex",
    .is_reported = [](const lock_rules& r,
                      bool) { return r.debug_key == debug_key_enabled::in_cache_open; },
    .goes_wrong =
        [](const lock_rules& r) {
          return r.debug_key == debug_key_enabled::in_cache_open;
        },
};

}  // namespace memhp
