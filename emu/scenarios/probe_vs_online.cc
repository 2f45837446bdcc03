// Seed 001: memory that is being added against udev, which onlines what it is told of.
#include "emu/scenarios/scenario.h"
#include "emu/scenarios/steps.h"

namespace memhp {
namespace {

void online(machine& m) {
  steps::write(m, "devices/system/memory/memory48/state", "online");
}

}  // namespace

const scenario probe_vs_online{
    .name = "probe-vs-online",
    .seed = 1,
    .story = {"Adding memory holds mem_hotplug.lock while the new device's dev->mutex is "
              "taken;",
              "onlining takes the two the other way round, as soon as udev hears of the",
              "device. It hangs, and lockdep is silent: dev->mutex is not validated."},
    .before = seed_era(1, seed_side::before).rules,
    .after = seed_era(1, seed_side::after).rules,
    .config = {.memory = 512 * MiB},
    .setup = [](machine&) {},
    .tasks = {{"kworker/0:1", steps::probe_block_48}, {"systemd-udevd", online}},
    .steps = {{"kworker/0:1", "add_memory: mem_hotplug.lock"},
              {"kworker/0:1", "device_add: uevent add@.../memory48"},
              {"systemd-udevd", "write memory48/state: device_hotplug_lock"},
              {"systemd-udevd", "before: dev->mutex, waits for mem_hotplug.lock"},
              {"systemd-udevd", "after: waits for mem_hotplug.lock, without dev->mutex"},
              {"kworker/0:1", "bus_probe_device: wants dev->mutex"}},
    // The first time it is the adder's own, before the device is there for others.
    .forced = {{"kworker/0:1", {"&dev->mutex"}, 1}, {"systemd-udevd"}},
    .reported_in = "device_online",
    .reported_lock = "dev->mutex",
    .is_reported =
        // Since 4.20 too: the two orders are there again, kept apart by
        // device_hotplug_lock, which lockdep does not know.
    [](const lock_rules& r, bool validated) {
      return validated && r.scope == mem_hotplug_scope::changed_pages;
    },
    .goes_wrong =
        [](const lock_rules& r) {
          return r.scope == mem_hotplug_scope::changed_pages &&
                 r.add == add_memory_locks::mem_hotplug_lock_only;
        },
};

}  // namespace memhp
