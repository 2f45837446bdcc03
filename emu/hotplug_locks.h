// The locks of memory and CPU hotplug, and the order in which they are taken:
//
//   kn->active of the written attribute (a trylock)
//   -> device_hotplug_lock -> acpi_scan_lock -> dev->mutex
//   -> cpu_hotplug_lock (read) -> mem_hotplug_lock (write)
//   -> (memory_chain).rwsem -> zone->lock
//
// A CPU that goes down or comes up (emu/cpu_hotplug.h):
//
//   device_hotplug_lock -> dev->mutex -> cpu_add_remove_lock -> cpu_hotplug_lock (write)
//   -> what the callbacks take: slab_mutex
//
// The slab allocator (emu/slab.h) in the default era:
//
//   static_key_enable(): cpu_hotplug_lock (read) -> jump_label_mutex, with nothing held
//   kmem_cache_create(): slab_mutex
//   kmem_cache_destroy(): cpu_hotplug_lock (read) -> slab_mutex -> flush_lock
//   memory callbacks: (memory_chain).rwsem -> slab_mutex
//
// Other kernels: emu/eras.h has them, lock_rules what they take where.
//
// A removal takes device_hotplug_lock, then waits for kn->active of the blocks' files,
// and only then cpu_hotplug_lock and mem_hotplug_lock (lock_rules::removal). That is no
// cycle because a writer that already has kn->active only TRIES device_hotplug_lock.
//
// Mirrors drivers/base/core.c, kernel/cpu.c and mm/memory_hotplug.c (6.1).
#pragma once

#include <source_location>

#include "emu/hotplug_lock.h"
#include "emu/lock_rules.h"
#include "locks/thread_annotations.h"
#include "locks/tracked.h"

namespace memhp {

struct hotplug_locks {
  explicit hotplug_locks(const lock_rules& rules)
      : gate{rules.gate}, kept{kept_by(rules)}, design{rules.design} {}
  const sysfs_gate gate;
  const kept_rules kept;
  const hotplug_lock_design design;

  // Serializes adding, removing, onlining and offlining of memory and CPUs.
  static constexpr lock_class_key device_hotplug_lock_key{.name = "device_hotplug_lock"};
  static constexpr lock_class_key acpi_scan_lock_key{.name = "acpi_scan_lock"};
  static constexpr lock_class_key cpu_add_remove_lock_key{.name = "cpu_add_remove_lock"};
  static constexpr lock_class_key memory_add_remove_lock_key{
      .name = "memory_add_remove_lock"};
  static constexpr lock_class_key cpu_hotplug_lock_key{
      .name = "cpu_hotplug_lock", .wait_type = 0, .percpu_rwsem = true};
  static constexpr lock_class_key mem_hotplug_lock_key{
      .name = "mem_hotplug_lock", .wait_type = 0, .percpu_rwsem = true};
  // Until 4.12: the names of the two, and of the mutexes inside them.
  static constexpr lock_class_key cpu_hotplug_dep_map_key{.name = "cpu_hotplug.dep_map",
                                                          .wait_type = 0};
  static constexpr lock_class_key cpu_hotplug_mutex_key{.name = "cpu_hotplug.lock"};
  static constexpr lock_class_key mem_hotplug_dep_map_key{.name = "mem_hotplug.lock",
                                                          .wait_type = 0};
  static constexpr lock_class_key mem_hotplug_mutex_key{.name = "mem_hotplug.lock"};
  static constexpr lock_class_key jump_label_mutex_key{.name = "jump_label_mutex"};
  static constexpr lock_class_key slab_mutex_key{.name = "slab_mutex"};

  tracked_mutex device_hotplug_lock{device_hotplug_lock_key};
  tracked_mutex acpi_scan_lock ACQUIRED_AFTER(device_hotplug_lock){acpi_scan_lock_key};
  // Outermost of a CPU that goes down or comes up; its writers then take the next.
  tracked_mutex cpu_add_remove_lock ACQUIRED_AFTER(device_hotplug_lock){
      cpu_add_remove_lock_key};
  // 4.11 and 4.12: one writer of mem_hotplug at a time.
  tracked_mutex memory_add_remove_lock ACQUIRED_AFTER(device_hotplug_lock){
      memory_add_remove_lock_key};
  hotplug_lock cpu_hotplug_lock ACQUIRED_AFTER(cpu_add_remove_lock) =
      made(cpu_hotplug_lock_key, cpu_hotplug_dep_map_key, cpu_hotplug_mutex_key);
  hotplug_lock mem_hotplug_lock ACQUIRED_AFTER(cpu_hotplug_lock, memory_add_remove_lock) =
      made(mem_hotplug_lock_key, mem_hotplug_dep_map_key, mem_hotplug_mutex_key);

  // kernel/jump_label.c: the text that a static key changes. Innermost.
  tracked_mutex jump_label_mutex ACQUIRED_AFTER(cpu_hotplug_lock){jump_label_mutex_key};
  // mm/slab_common.c: the list of slab caches. Taken by CPU and memory callbacks, that
  // is, inside cpu_hotplug_lock; what may be taken inside it is up to lock_rules.
  tracked_mutex slab_mutex{slab_mutex_key};

  // For an attribute that holds its own active reference: never waits, or a removal that
  // waits for that reference would wait for us. On failure the write is started again
  // (restart_no_intr).
  bool lock_device_hotplug_sysfs()
      TRY_ACQUIRE(true, device_hotplug_lock) NO_THREAD_SAFETY_ANALYSIS {
    switch (gate) {
      case sysfs_gate::trylock: return device_hotplug_lock.try_lock();
      case sysfs_gate::blocking: device_hotplug_lock.lock(); return true;
      case sysfs_gate::none: break;
    }
    return true;
  }
  void unlock_device_hotplug_sysfs()
      RELEASE(device_hotplug_lock) NO_THREAD_SAFETY_ANALYSIS {
    if (gate != sysfs_gate::none) device_hotplug_lock.unlock();
  }
  // assert_held_device_hotplug() of seed 000.
  void assert_held_device_hotplug() const ASSERT_HELD(device_hotplug_lock) {
    if (gate != sysfs_gate::none) device_hotplug_lock.assert_held();
  }

  // The four rules, where they are to be kept: abort. Kernels that break one by design
  // go on, and the validator names the caller, if it is on.
  void assert_may_add(std::source_location where = std::source_location::current()) const
      ASSERT_HELD(device_hotplug_lock) {
    if (kept.add)
      assert_held_device_hotplug();
    else
      device_hotplug_lock.expect_held(where);
  }
  void assert_may_change(std::source_location where = std::source_location::current())
      const ASSERT_HELD(device_hotplug_lock) {
    if (kept.change)
      assert_held_device_hotplug();
    else
      device_hotplug_lock.expect_held(where);
  }
  void assert_may_change_pages(
      std::source_location where = std::source_location::current()) const
      ASSERT_HELD(mem_hotplug_lock) {
    if (kept.pages)
      mem_hotplug_lock.assert_held_write();
    else
      mem_hotplug_lock.expect_held_write(where);
  }
  // Says to the analysis what one of them has looked at already.
  void checked_device_hotplug() const ASSERT_HELD(device_hotplug_lock) {}

 private:
  hotplug_lock made(const lock_class_key& percpu, const lock_class_key& map,
                    const lock_class_key& inside) const {
    if (design == hotplug_lock_design::cpu_then_mem) return hotplug_lock{percpu};
    return {map, inside};
  }
};

}  // namespace memhp
