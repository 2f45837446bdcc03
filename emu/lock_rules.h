// Which lock is taken where: the one table that says so.
//
// A value of lock_rules describes the locking of one kernel. Each field is tested in
// exactly one function of emu/, where the two orders stand as the two straight arms of
// one `if`.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace memhp {

// remove_memory(): where the block devices go, and with them their sysfs files, whose
// readers and writers are waited for.
enum class remove_devices : std::uint8_t {
  under_mem_hotplug_lock,  // the lock cycle of seed 000
  before_it,               // under device_hotplug_lock alone
};

// What device_online() makes of a block whose removal has begun.
enum class online_check : std::uint8_t {
  kernfs_only,    // as merged: the drained file answers no_such_device
  section_count,  // seed 000, v4: ENXIO once section_count is 0
};

// Whether remove_memory_block_devices() asserts device_hotplug_lock.
enum class removal_assertion : std::uint8_t { comment_only, assert_held };

// kmem_cache_create(): what it holds around slab_mutex.
enum class cache_create_locks : std::uint8_t {
  cpu_mem_slab,  // both hotplug locks to read, until 5.11
  slab_only,     // since 59450bbc12be and 7e1fa93deff4
};

// When a cache with debug flags enables the key of slab debugging, which takes
// cpu_hotplug_lock.
enum class debug_key_enabled : std::uint8_t {
  never,              // debugging comes from the command line alone
  in_cache_open,      // 1f0723a4c0df: under slab_mutex, the lock cycle of seed 003
  before_slab_mutex,  // afe0c26d1968
};

// kmem_cache_destroy(): what it holds around slab_mutex.
enum class cache_destroy_locks : std::uint8_t {
  cpu_mem_slab,  // until 5.11
  slab_only,     // 5.12 to 5.14
  cpu_slab,      // since its flush waits for a work item on each CPU (5a836bf6b09f)
};

// kmem_cache_destroy(): where the cache's files go, whose readers and writers are waited
// for.
enum class cache_files_removal : std::uint8_t {
  under_slab_mutex,          // bf5eb3de3847: the lock cycle of seed 004
  by_work_item,              // 3b7b314053d0: the name stays taken until it has run
  deleted_under_slab_mutex,  // d50d82faa0c9: only the uevent is left to the work item
  after_locks,               // 0495e337b703
};

// What a write to a cache's file reaches.
enum class cache_store_reach : std::uint8_t {
  children_under_slab_mutex,  // also the caches of memory cgroups, until 5.8
  own_cache_only,
};

// How flush_all() reaches the CPUs. No kernel had by_work together with stores that reach
// children: flushing those would take cpu_hotplug_lock under slab_mutex.
enum class cache_flush_way : std::uint8_t {
  by_interrupt,  // takes no lock
  by_work,       // since 5a836bf6b09f: under cpu_hotplug_lock, held to read
};

// How a write to `state`, `online` or `probe` meets device_hotplug_lock.
enum class sysfs_gate : std::uint8_t {
  trylock,  // since 3.11: tried, and the write starts again if it is taken
  none,     // not at all: shows which deadlocks the gate keeps from happening
};

struct lock_rules {
  std::string_view era;
  std::string_view what;  // one line for people
  remove_devices removal;
  online_check online;
  removal_assertion assertion;
  cache_create_locks cache_create;
  debug_key_enabled debug_key;
  cache_destroy_locks cache_destroy;
  cache_files_removal cache_files;
  cache_store_reach cache_store;
  cache_flush_way cache_flush;
  sysfs_gate gate = sysfs_gate::trylock;
};

// The seeds' own world, the default: all five fixes as the seeds' texts have them.
inline constexpr lock_rules patched{
    .era = "patched",
    .what = "all seeds applied; block devices removed before mem_hotplug_lock",
    .removal = remove_devices::before_it,
    .online = online_check::section_count,
    .assertion = removal_assertion::assert_held,
    .cache_create = cache_create_locks::slab_only,
    .debug_key = debug_key_enabled::before_slab_mutex,
    .cache_destroy = cache_destroy_locks::cpu_slab,
    .cache_files = cache_files_removal::by_work_item,
    .cache_store = cache_store_reach::children_under_slab_mutex,
    .cache_flush = cache_flush_way::by_interrupt,
};

inline constexpr std::array kernel_eras = {patched};

// nullptr if there is no such era.
constexpr const lock_rules* find_era(std::string_view name) {
  for (const lock_rules& rules : kernel_eras)
    if (rules.era == name) return &rules;
  return nullptr;
}

}  // namespace memhp
