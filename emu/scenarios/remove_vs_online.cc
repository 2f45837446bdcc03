// Seed 000: the removal of a dax device's memory against a writer of a block's `state`.
#include "emu/scenarios/scenario.h"
#include "emu/scenarios/steps.h"

namespace memhp {
namespace {

void setup(machine& m) {
  steps::bring_a_cpu_up(m);
  steps::write(m, "kernel/debug/memhp/kmem_cache_create", "ptlock size=64");
  steps::give_to_kmem(m, "dax0.0");
}
void unbind(machine& m) {
  steps::write(m, "bus/dax/drivers/kmem/unbind", "dax0.0");
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
    .tasks = {{"daxctl-online", steps::online_and_offline<32>}, {"lt-daxctl", unbind}},
    .steps = {{"daxctl-online", "write memory32/state: has kn->active"},
              {"daxctl-online", "tries device_hotplug_lock (before, forced: not)"},
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
