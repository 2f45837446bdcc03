// Seed 000: the removal of a dax device's memory against a writer of a block's `state`.
#include "emu/cpu_hotplug.h"
#include "emu/scenarios/scenario.h"

namespace memhp {
namespace {

void setup(machine& m) {
  // What a boot does: CPUs come up, caches are made.
  (void)remove_cpu(m.kernel(), 1);
  (void)add_cpu(m.kernel(), 1);
  (void)m.write("kernel/debug/memhp/kmem_cache_create", "ptlock size=64");
  (void)m.write("bus/dax/drivers/device_dax/unbind", "dax0.0");
  (void)m.write("bus/dax/drivers/kmem/new_id", "dax0.0");
}

void online_and_offline(machine& m) {
  (void)m.write("devices/system/memory/memory32/state", "online");
  (void)m.write("devices/system/memory/memory32/state", "offline");
}
void unbind(machine& m) {
  (void)m.write("bus/dax/drivers/kmem/unbind", "dax0.0");
}

bool waits_under_lock(const lock_rules& r) {
  return r.removal == remove_devices::under_mem_hotplug_lock;
}
void take_gate_away(lock_rules& r) {
  if (waits_under_lock(r)) r.gate = sysfs_gate::none;
}

}  // namespace

const scenario remove_vs_online{
    .name = "remove-vs-online",
    .seed = 0,
    .story =
        {"unbind removes memory and waits for the files' users under mem_hotplug_lock,",
         "which a writer of `state` wants. Only a trylock keeps the two apart; lockdep",
         "sees the cycle, and the forced run hangs once that trylock is taken away."},
    .before = seed_era(0, seed_side::before).rules,
    .after = seed_era(0, seed_side::after).rules,
    .config = {.memory = 512 * MiB, .dax = {{.size = 256 * MiB}}},
    .setup = setup,
    .tasks = {{"daxctl-online", online_and_offline}, {"lt-daxctl", unbind}},
    .steps = {{"daxctl-online", "write memory32/state: has kn->active"},
              {"daxctl-online",
               "device_hotplug_lock: tried (forced run before: skipped)"},
              {"lt-daxctl", "write unbind: device_hotplug_lock"},
              {"lt-daxctl", "before: cpu_hotplug_lock, mem_hotplug_lock"},
              {"lt-daxctl", "remove_memory_block_devices: waits for kn->active"},
              {"daxctl-online", "online_pages: waits for mem_hotplug_lock"},
              {"lt-daxctl", "after: mem_hotplug_lock only now"}},
    .forced = {{"daxctl-online",
                {"device_hotplug_lock", "memory_add_remove_lock", "cpu_hotplug_lock",
                 "mem_hotplug_lock", "&dev->mutex"}},
               {"lt-daxctl"}},
    .reported_in = "remove_memory_block_devices",
    .reported_lock = "mem_hotplug",
    .is_reported =
        [](const lock_rules& r, bool) {
          return waits_under_lock(r) && r.drain == drain_report::always;
        },
    .goes_wrong = waits_under_lock,
    .adjust_forced = take_gate_away,
};

}  // namespace memhp
