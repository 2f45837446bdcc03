// Which lock is taken where: the one table that says so.
//
// A value of lock_rules describes the locking of one kernel. Each field is tested in
// exactly one function of emu/, where the two orders stand as the straight arms of one
// `if` or `switch`; `design`, which also says what two locks are, once more where they
// are made. The kernels themselves are in emu/eras.h.
//
// Thread safety: plain values.
#pragma once

#include <cstdint>
#include <string_view>

namespace memhp {

// What cpu_hotplug_lock and mem_hotplug_lock are, and what mem_hotplug_begin() takes.
enum class hotplug_lock_design : std::uint8_t {
  home_made,             // emu/homemade_hotplug_lock.h; begin takes mem_hotplug alone
  home_made_one_writer,  // 55adc1d05dca: inside memory_add_remove_lock
  cpu_then_mem,          // 3f906ba23689: percpu rwsems, cpu_hotplug_lock first
};

// How much of a request that changes memory is inside mem_hotplug_lock.
enum class mem_hotplug_scope : std::uint8_t {
  changed_pages,  // what add_memory(), online_pages() and offline_pages() do: dev->mutex
                  // comes before it
  whole_request,  // 30467e0b3be8: a write to `state` and an add with the onlining of its
                  // blocks: dev->mutex comes after it, and `online` has none at all
};

// Adding memory, by whoever does not hold device_hotplug_lock already (ACPI does).
enum class add_memory_locks : std::uint8_t {
  mem_hotplug_lock_only,  // `probe` and drivers hold nothing; ACPI does
  device_hotplug_lock,    // 8df1d0e4a265: taken by the function, and by `probe`
};

// remove_memory() as drivers call it: who takes device_hotplug_lock.
enum class remove_memory_locks : std::uint8_t {
  taken_by_caller,
  taken_by_it,  // d15e59260f62
};

// memtrace, a driver that takes memory away from the kernel and gives it back: what it
// holds while its memory goes online, and while it goes offline.
enum class memtrace_locks : std::uint8_t {
  none,
  device_hotplug_lock,  // cec1680591d6 for online, 5666848774ef for offline
};

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

// When the validator is told that a removal waits for a file's readers and writers.
enum class drain_report : std::uint8_t {
  always,
  if_it_waits,  // 2d7f9f8c1815: an order that could deadlock is seen by accident only
};

// kmem_cache_create(): what it holds around slab_mutex.
enum class cache_create_locks : std::uint8_t {
  cpu_mem_slab,  // both hotplug locks to read
  cpu_slab,      // 7e1fa93deff4
  slab_only,     // 59450bbc12be
};

// kmem_cache_destroy(): what it holds around slab_mutex.
enum class cache_destroy_locks : std::uint8_t {
  cpu_mem_slab,
  slab_only,  // 59450bbc12be
  cpu_slab,   // 7e1fa93deff4, and since 5a836bf6b09f again: its flush waits for a work
              // item on each CPU
};

// How flush_all() reaches the CPUs. No kernel had by_work together with stores that reach
// children: flushing those would take cpu_hotplug_lock under slab_mutex.
enum class cache_flush_way : std::uint8_t {
  by_interrupt,  // takes no lock
  by_work,       // since 5a836bf6b09f: under cpu_hotplug_lock, held to read
};

// One field: commits changed the three together.
struct slab_hotplug_locks {
  cache_create_locks create;
  cache_destroy_locks destroy;
  cache_flush_way flush;

  friend constexpr bool operator==(const slab_hotplug_locks&,
                                   const slab_hotplug_locks&) = default;
};

// When a cache with debug flags enables the key of slab debugging, which takes
// cpu_hotplug_lock.
enum class debug_key_enabled : std::uint8_t {
  never,              // debugging comes from the command line alone
  in_cache_open,      // 1f0723a4c0df: under slab_mutex, the lock cycle of seed 003
  before_slab_mutex,  // afe0c26d1968
};

// kmem_cache_destroy(): where the cache's files go, whose readers and writers are waited
// for.
enum class cache_files_removal : std::uint8_t {
  under_slab_mutex,          // bf5eb3de3847: the lock cycle of seed 004
  by_work_item,              // 3b7b314053d0: the name stays taken until it has run
  deleted_under_slab_mutex,  // d50d82faa0c9: only the uevent is left to the work item
  after_locks,               // before bf5eb3de3847, and since 0495e337b703
};

// What a write to a cache's file reaches.
enum class cache_store_reach : std::uint8_t {
  children_under_slab_mutex,  // also the caches of memory cgroups
  own_cache_only,             // 9855609bde03
};

// How a write to `state`, `online` or `probe` meets device_hotplug_lock.
enum class sysfs_gate : std::uint8_t {
  trylock,   // since 3.11: tried, and the write starts again if it is taken
  none,      // not at all: shows which deadlocks the gate keeps from happening
  blocking,  // waited for, as if it were any lock: who removes the file waits for us
};

struct lock_rules {
  std::string_view era;
  std::string_view what;  // one line for people
  hotplug_lock_design design = hotplug_lock_design::cpu_then_mem;
  mem_hotplug_scope scope = mem_hotplug_scope::changed_pages;
  add_memory_locks add = add_memory_locks::device_hotplug_lock;
  remove_memory_locks remove = remove_memory_locks::taken_by_it;
  memtrace_locks memtrace_online = memtrace_locks::device_hotplug_lock;
  memtrace_locks memtrace_offline = memtrace_locks::device_hotplug_lock;
  remove_devices removal;
  online_check online;
  removal_assertion assertion;
  drain_report drain = drain_report::always;
  slab_hotplug_locks slab;
  debug_key_enabled debug_key;
  cache_files_removal cache_files;
  cache_store_reach cache_store;
  sysfs_gate gate = sysfs_gate::trylock;
};

// In how many fields two rules differ; their names do not count.
constexpr int differences(const lock_rules& a, const lock_rules& b) {
  return (a.design != b.design) + (a.scope != b.scope) + (a.add != b.add) +
         (a.remove != b.remove) + (a.memtrace_online != b.memtrace_online) +
         (a.memtrace_offline != b.memtrace_offline) + (a.removal != b.removal) +
         (a.online != b.online) + (a.assertion != b.assertion) + (a.drain != b.drain) +
         (a.slab != b.slab) + (a.debug_key != b.debug_key) +
         (a.cache_files != b.cache_files) + (a.cache_store != b.cache_store) +
         (a.gate != b.gate);
}

// Which of the rules at the top of emu/memory_hotplug.h these kernels keep, whoever
// calls: what follows from the fields.
struct kept_rules {
  bool add;     // 1: memory is added under device_hotplug_lock
  bool change;  // 3: devices go online and offline under device_hotplug_lock
  bool pages;   // 4: the zone counters change under mem_hotplug_lock
};
constexpr kept_rules kept_by(const lock_rules& rules) {
  const bool add = rules.add == add_memory_locks::device_hotplug_lock;
  const bool memtrace = rules.memtrace_online == memtrace_locks::device_hotplug_lock &&
                        rules.memtrace_offline == memtrace_locks::device_hotplug_lock;
  const bool pages = rules.scope == mem_hotplug_scope::changed_pages;
  return {.add = add, .change = add && memtrace, .pages = pages};
}

// The seeds' own world, the default: all five fixes as the seeds' texts have them.
inline constexpr lock_rules patched{
    .era = "patched",
    .what = "all seeds applied; block devices removed before mem_hotplug_lock",
    .removal = remove_devices::before_it,
    .online = online_check::section_count,
    .assertion = removal_assertion::assert_held,
    .slab = {.create = cache_create_locks::slab_only,
             .destroy = cache_destroy_locks::cpu_slab,
             .flush = cache_flush_way::by_interrupt},
    .debug_key = debug_key_enabled::before_slab_mutex,
    .cache_files = cache_files_removal::by_work_item,
    .cache_store = cache_store_reach::children_under_slab_mutex,
};

}  // namespace memhp
