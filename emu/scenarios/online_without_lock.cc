// Seed 002: `online` changes a zone's counters without mem_hotplug_lock.
#include "emu/scenarios/scenario.h"
#include "emu/scenarios/steps.h"

namespace memhp {
namespace {

void setup(machine& m) {
  steps::write(m, "devices/system/memory/auto_online_blocks", "online");
}
void online(machine& m) {
  steps::write(m, "devices/system/memory/memory32/online", "1");
}

std::string lost_pages(machine& m) {
  return steps::lost_pages(m, {32, 48});
}

bool is_unlocked(const lock_rules& r) {
  return r.scope == mem_hotplug_scope::whole_request;
}
bool may_meet_an_add(const lock_rules& r) {
  return is_unlocked(r) && r.add == add_memory_locks::mem_hotplug_lock_only;
}

}  // namespace

const scenario online_without_lock{
    .name = "online-without-lock",
    .seed = 2,
    .story =
        {"echo 1 > online reaches online_pages() without mem_hotplug_lock. Nothing",
         "deadlocks, but memory that is added meanwhile changes the same zone: one of",
         "the two additions to present_pages is lost. A write to `state` takes it."},
    .kind = scenario_kind::lost_update,
    .before = seed_era(2, seed_side::before).rules,
    .after = seed_era(2, seed_side::after).rules,
    .config = {.memory = 512 * MiB, .dimms = {{.size = 128 * MiB}}},
    .setup = setup,
    .tasks = {{"echo", online}, {"kworker/0:1", steps::probe_block_48}},
    .steps = {{"echo", "write memory32/online: device_hotplug_lock"},
              {"echo", "before: online_pages without mem_hotplug_lock"},
              {"echo", "before: reads present_pages"},
              {"kworker/0:1", "add_memory: mem_hotplug_lock, present_pages += 32768"},
              {"echo", "before: writes what it read + 32768"},
              {"echo", "after: takes mem_hotplug_lock in online_pages"}},
    .forced = {{"echo", {"(memory_chain).rwsem"}},
               {"echo", {"zone->lock"}, 1},
               {"kworker/0:1"}},
    .reported_in = "device_online",
    .reported_lock = "mem_hotplug",
    .is_reported = [](const lock_rules& r, bool) { return is_unlocked(r); },
    .goes_wrong = may_meet_an_add,
    .what_is_lost = lost_pages,
};

}  // namespace memhp
