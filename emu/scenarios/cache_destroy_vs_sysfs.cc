// Seed 004: the end of a slab cache against a writer of one of its files.
#include "emu/kernel.h"
#include "emu/scenarios/scenario.h"
#include "emu/scenarios/steps.h"
#include "emu/slab.h"

namespace memhp {
namespace {

void setup(machine& m) {
  steps::bring_a_cpu_up(m);
  (void)m.kernel().slab->kmem_cache_create("kvm_vcpu", {.object_size = 256});
}
void tune(machine& m) {
  steps::write(m, "kernel/slab/kvm_vcpu/min_partial", "7");
}
void destroy(machine& m) {
  if (const cache_ref cache = m.kernel().slab->find("kvm_vcpu"))
    (void)m.kernel().slab->kmem_cache_destroy(cache);
}

bool removed_under_slab_mutex(const lock_rules& r) {
  const bool under = r.cache_files == cache_files_removal::under_slab_mutex ||
                     r.cache_files == cache_files_removal::deleted_under_slab_mutex;
  return under && r.cache_store == cache_store_reach::children_under_slab_mutex;
}

}  // namespace

const scenario cache_destroy_vs_sysfs{
    .name = "cache-destroy-vs-sysfs",
    .seed = 4,
    .story =
        {"kmem_cache_destroy() removes the cache's files under slab_mutex and waits for",
         "their users; a writer of such a file wants slab_mutex, to reach the caches of",
         "memory cgroups. The patch leaves the removal to a work item."},
    .before = seed_era(4, seed_side::before).rules,
    .after = seed_era(4, seed_side::after).rules,
    .config = {.memory = 512 * MiB},
    .setup = setup,
    .tasks = {{"sh", tune}, {"rmmod", destroy}},
    .steps = {{"sh", "write kvm_vcpu/min_partial: has the file's active reference"},
              {"sh", "slab_attr_store: wants slab_mutex"},
              {"rmmod", "kmem_cache_destroy: slab_mutex"},
              {"rmmod", "before: kobject_del waits for the active reference"},
              {"rmmod", "after: queues the removal, releases slab_mutex"},
              {"sh", "before: waits for slab_mutex"}},
    .forced = {{"sh", {"slab_mutex"}}, {"rmmod"}},
    .reported_in = "kmem_cache_destroy",
    .reported_lock = "slab_mutex",
    .is_reported = [](const lock_rules& r, bool) { return removed_under_slab_mutex(r); },
    .goes_wrong = removed_under_slab_mutex,
};

}  // namespace memhp
