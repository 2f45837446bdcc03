// Adding, removing, onlining and offlining of memory.
//
// The four rules (seed 002), each asserted in kernels that keep it (kept_by()):
//   1. add_memory() only with device_hotplug_lock;
//   2. remove_memory() only with device_hotplug_lock;
//   3. device_online() and device_offline() only with device_hotplug_lock;
//   4. mem_hotplug_lock is taken inside add, remove, online and offline, and the zone
//      counters change under it only. Where it is not held they can lose an update.
//
// Mirrors mm/memory_hotplug.c (6.1) and seeds 000 and 002.
#pragma once

#include "blocks/memory_block.h"
#include "blocks/result.h"
#include "emu/kernel.h"
#include "emu/task.h"

namespace memhp {

// __add_memory(): makes [range) exist on node `nid`, as offline blocks, or onlines them
// as auto_online_blocks says; `group` may be null.
// Errors: argument_list_too_long (E2BIG) beyond what the architecture can address,
// file_exists if something else is there, invalid_argument if misaligned or the node is
// not possible, not_enough_memory. A block that then fails to go online is no error.
result<> add_memory(kernel& k, int nid, phys_range range,
                    const std::shared_ptr<memory_group>& group = nullptr)
    REQUIRES(k.locks.device_hotplug_lock);

// Who adds memory without device_hotplug_lock held: a write to `probe`, whose active
// reference must not wait for the lock (restart_no_intr instead), or a driver.
enum class adder : std::uint8_t { probe, driver };

// add_memory() as the kernel's drivers call it, and what `probe` does: takes
// device_hotplug_lock first, in kernels that do (lock_rules::add).
result<> add_memory_by(adder who, kernel& k, int nid, phys_range range,
                       const std::shared_ptr<memory_group>& group = nullptr);

// __remove_memory(): device_or_resource_busy, and nothing changed, unless every block of
// the range is offline.
result<> remove_memory(kernel& k, phys_range range) REQUIRES(k.locks.device_hotplug_lock);
// remove_memory() as the kernel's drivers call it: takes device_hotplug_lock, or wants it
// held (lock_rules::remove).
result<> remove_memory_by_driver(kernel& k, phys_range range);

// Gives the block its pages and puts them into the zone. not_enough_memory if the host
// has none; otherwise the error of a notifier that vetoed.
// Requires device_hotplug_lock and mem_hotplug_lock, which rules 3 and 4 assert.
result<> online_pages(kernel& k, memory_block& block, zone& target);

// Takes the block's pages out of its zone and gives them back to the host. Waits for
// pages that cannot be moved yet until a signal is pending for `by`.
// Errors: invalid_argument (holes), device_or_resource_busy (unmovable pages),
// interrupted, or the error of a notifier that vetoed. Requires what online_pages() does.
result<> offline_pages(kernel& k, memory_block& block, task& by);

}  // namespace memhp
