// Why writers of `state` only try device_hotplug_lock.
#include "emu/scenarios/scenario.h"
#include "emu/scenarios/steps.h"

namespace memhp {
namespace {

void remove(machine& m) {
  steps::write(m, "kernel/debug/memhp/remove_block", "48");
}

constexpr lock_rules with_blocking_gate(lock_rules rules) {
  rules.gate = sysfs_gate::blocking;
  rules.what = "but a write to `state` waits for device_hotplug_lock";
  return rules;
}

bool blocks(const lock_rules& r) {
  return r.gate == sysfs_gate::blocking;
}

}  // namespace

const scenario blocking_sysfs_lock{
    .name = "blocking-sysfs-lock",
    .story =
        {"A removal holds device_hotplug_lock and waits for the users of the files. If a",
         "writer of `state` waited for that lock, each would wait for the other, also in",
         "the order of seed 000. So the writer tries, and starts again."},
    .before = with_blocking_gate(patched),
    .after = patched,
    .config = {.memory = 512 * MiB},
    .setup = steps::probe_block_48,
    .tasks = {{"sh", steps::online_and_offline<48>}, {"remover", remove}},
    .steps = {{"sh", "write memory48/state: has kn->active"},
              {"remover", "device_hotplug_lock"},
              {"remover", "remove_memory_block_devices: waits for kn->active"},
              {"sh", "before: waits for device_hotplug_lock"},
              {"sh", "after: fails to get it, gives kn->active back, tries again"},
              {"sh", "after: the file is gone, ENODEV"}},
    .forced = {{"sh", {"device_hotplug_lock"}}, {"remover"}},
    .reported_in = "remove_memory_block_devices",
    .reported_lock = "device_hotplug_lock",
    .is_reported = [](const lock_rules& r, bool) { return blocks(r); },
    .goes_wrong = blocks,
};

}  // namespace memhp
