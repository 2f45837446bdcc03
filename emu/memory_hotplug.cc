#include "emu/memory_hotplug.h"

#include <fmt/format.h>

#include "emu/hugetlb.h"
#include "emu/mem_hotplug_begin.h"
#include "emu/memory_device.h"
#include "emu/node_device.h"
#include "locks/guards.h"

namespace memhp {
namespace {

// What x86-64 with five-level page tables can map.
constexpr std::uint64_t max_physmem_bits = 52;

void sync_memory_stats(kernel& k) {
  k.stats.resident_bytes.store(k.memory.resident_bytes(), std::memory_order_relaxed);
  k.stats.memmap_bytes.store(k.pages.bytes(), std::memory_order_relaxed);
}

constexpr phys_addr hotplug_base{4 * GiB};

std::string mem_range(phys_range range) {
  return fmt::format("[mem {:#018x}-{:#018x}]", range.start.value, range.end().value - 1);
}

// register_memory_resource().
result<> register_memory_resource(kernel& k, phys_range range, std::string_view name) {
  constexpr std::uint64_t limit = 1ULL << max_physmem_bits;
  if (range.start.value >= limit || range.size > limit - range.start.value)
    return fail(errc::argument_list_too_long);
  if (range.end().value > k.config.max_memory) return fail(errc::file_exists);
  return k.iomem.request(range, name);  // a failure is worth a pr_debug() there
}

result<> check_hotplug_memory_range(const kernel& k, phys_range range) {
  if (range.size == 0 || !is_aligned(range.start.value, k.config.block_size) ||
      !is_aligned(range.size, k.config.block_size))
    return fail(errc::invalid_argument);
  return {};
}

// add_memory_resource() between mem_hotplug_begin() and mem_hotplug_done().
result<> add_blocks(kernel& k, int nid, phys_range range,
                    const std::shared_ptr<memory_group>& group)
    REQUIRES(k.locks.device_hotplug_lock) {
  k.locks.mem_hotplug_lock.assert_held_write();
  const bool new_node = !try_online_node(k, nid);
  if (auto ok = k.pages.add(range); !ok) {
    if (new_node) try_offline_node(k, nid);
    return ok;
  }
  create_memory_block_devices(k, range, nid, group);
  if (new_node) register_node(k, nid);
  for (memory_block_device* dev : memory_blocks_in(k, range)) link_block_to_node(k, *dev);
  sync_memory_stats(k);
  return {};
}

// Blocks of fresh memory go online before the adder's write returns. That one of them
// does not is no failure of the add.
void auto_online_blocks(kernel& k, phys_range range)
    REQUIRES(k.locks.device_hotplug_lock) {
  const online_type type = k.auto_online;
  if (type == online_type::offline) return;
  task kthread;
  for (memory_block_device* dev : memory_blocks_in(k, range)) {
    dev->block.requested = type;
    (void)device_online(*dev, kthread);
  }
}

// The lock ends with the blocks, or after they went online.
result<> add_and_online(kernel& k, int nid, phys_range range,
                        const std::shared_ptr<memory_group>& group) {
  return with_mem_hotplug_lock_at(mem_hotplug_scope::whole_request, k, [&]() -> result<> {
    k.locks.checked_device_hotplug();
    auto ok = with_mem_hotplug_lock_at(mem_hotplug_scope::changed_pages, k, [&] {
      k.locks.checked_device_hotplug();
      return add_blocks(k, nid, range, group);
    });
    if (!ok) return ok;
    auto_online_blocks(k, range);
    return {};
  });
}

result<> add_memory_resource(kernel& k, int nid, phys_range range,
                             const std::shared_ptr<memory_group>& group,
                             std::string_view resource) {
  k.locks.assert_may_add();  // rule 1
  if (auto ok = register_memory_resource(k, range, resource); !ok) return ok;
  auto ok = check_hotplug_memory_range(k, range);
  if (ok && !k.node_possible(nid)) ok = fail(errc::invalid_argument);
  if (ok) ok = add_and_online(k, nid, range, group);
  if (!ok) k.iomem.release(range);
  return ok;
}

result<> check_blocks_offline(kernel& k, phys_range range)
    REQUIRES(k.locks.device_hotplug_lock) {
  for (const memory_block_device* dev : memory_blocks_in(k, range))
    if (dev->block.state() != block_state::offline) {
      k.printk("removing memory fails, because memory " + mem_range(dev->block.range) +
               " is onlined");
      return fail(errc::device_or_resource_busy);
    }
  return {};
}

// arch_remove_memory() and what follows it.
void release_memory(kernel& k, phys_range range, int nid) {
  k.locks.mem_hotplug_lock.assert_held_write();
  k.pages.remove(range);
  k.iomem.release(range);
  try_offline_node(k, nid);
  sync_memory_stats(k);
}

void account_group(memory_block& block, const zone& z, bool joins) {
  if (!block.group) return;
  auto& counter = z.type == zone_type::movable ? block.group->present_movable_pages
                                               : block.group->present_kernel_pages;
  if (joins)
    counter += block.present_pages();
  else
    counter -= block.present_pages();
}

// Kernels that break rule 4 change zones without the lock that the counters want.
zone::caller zone_caller(const kernel& k) {
  return k.locks.mem_hotplug_lock.held_by_me() ? zone::caller::is_alone
                                               : zone::caller::may_race;
}

// start_isolate_page_range(): fails for pages that nobody may move.
result<> isolate_page_range(kernel& k, const memory_block& block) {
  if (block.hole_pages != 0) return fail(errc::invalid_argument);
  if (k.pages.has_unmovable(block.range)) {
    k.printk("offlining " + mem_range(block.range) + " failed: unmovable page");
    return fail(errc::device_or_resource_busy);
  }
  return {};
}

// Moves what is in use elsewhere; a pinned page cannot be moved until it is let go.
result<> migrate_pages(kernel& k, memory_block& block, task& by) {
  k.faults.before_migrate(k, by);
  by.wait_interruptible(k.migrate_waitq, [&] {
    return k.pages.count(block.range, page_flag::pinned) == 0;
  });
  if (by.signal_pending()) return fail(errc::interrupted);
  dissolve_free_huge_pages(k, block);
  return {};
}

}  // namespace

result<phys_range> find_hotplug_room(const kernel& k, std::uint64_t size) {
  if (size > k.config.max_memory) return fail(errc::no_space_on_device);
  for (phys_range at{hotplug_base, size}; at.end().value <= k.config.max_memory;
       at.start = at.start + k.config.block_size)
    if (k.iomem.is_free(at)) return at;
  return fail(errc::no_space_on_device);
}

result<> add_memory(kernel& k, int nid, phys_range range,
                    const std::shared_ptr<memory_group>& group,
                    std::string_view resource) {
  return add_memory_resource(k, nid, range, group, resource);
}

result<> add_memory_by(adder who, kernel& k, int nid, phys_range range,
                       const std::shared_ptr<memory_group>& group,
                       std::string_view resource) {
  if (k.rules.add == add_memory_locks::mem_hotplug_lock_only)
    return add_memory_resource(k, nid, range, group, resource);
  if (who == adder::probe) {
    if (!k.locks.lock_device_hotplug_sysfs()) return fail(restart_no_intr);
    auto ok = add_memory_resource(k, nid, range, group, resource);
    k.locks.unlock_device_hotplug_sysfs();
    return ok;
  }
  guard hold{k.locks.device_hotplug_lock};
  return add_memory_resource(k, nid, range, group, resource);
}

result<> remove_memory(kernel& k, phys_range range) {
  k.locks.assert_held_device_hotplug();  // rule 2
  if (auto ok = check_blocks_offline(k, range); !ok) return ok;
  const auto blocks = memory_blocks_in(k, range);
  if (blocks.empty()) return fail(errc::invalid_argument);
  const int nid = blocks.front()->block.nid;

  if (k.rules.removal == remove_devices::under_mem_hotplug_lock) {
    with_mem_hotplug_lock(k, [&] {
      k.locks.checked_device_hotplug();
      remove_memory_block_devices(k, range);  // waits for sysfs users: seed 000's cycle
      release_memory(k, range, nid);
    });
  } else {
    remove_memory_block_devices(k, range);
    with_mem_hotplug_lock(k, [&] { release_memory(k, range, nid); });
  }
  return {};
}

result<> remove_memory_by_driver(kernel& k, phys_range range) {
  if (k.rules.remove == remove_memory_locks::taken_by_caller) {
    k.locks.assert_held_device_hotplug();
    return remove_memory(k, range);
  }
  guard hold{k.locks.device_hotplug_lock};
  return remove_memory(k, range);
}

result<> online_pages(kernel& k, memory_block& block, zone& target) {
  k.locks.assert_may_change();        // rule 3
  k.locks.assert_may_change_pages();  // rule 4
  const memory_notify what{block.range, block.nid};
  auto populated = k.faults.before_populate(k);
  if (populated) populated = k.memory.populate(block.range, block.nid);
  if (!populated) {
    k.printk(fmt::format("onlining {} failed: the host has no memory for it",
                         mem_range(block.range)));
    return populated;
  }
  if (auto ok = k.memory_chain.call(memory_event::going_online, what); !ok) {
    (void)k.memory_chain.call(memory_event::cancel_online, what);
    k.memory.depopulate(block.range);
    return ok;
  }
  target.add(block.range,
             {.holes = block.hole_pages,
              .unmanaged = block.vmemmap_pages,
              .early = block.boot_memory},
             zone_caller(k));
  block.set_managing_zone(&target);
  account_group(block, target, true);
  sync_memory_stats(k);
  (void)k.memory_chain.call(memory_event::online, what);
  return {};
}

result<> offline_pages(kernel& k, memory_block& block, task& by) {
  k.locks.assert_may_change();        // rule 3
  k.locks.assert_may_change_pages();  // rule 4
  const memory_notify what{block.range, block.nid};
  if (auto ok = isolate_page_range(k, block); !ok) return ok;
  auto ok = k.memory_chain.call(memory_event::going_offline, what);
  if (ok) ok = migrate_pages(k, block, by);
  if (!ok) {
    // Everybody hears of the cancellation, also who never heard of the attempt.
    (void)k.memory_chain.call(memory_event::cancel_offline, what);
    return ok;
  }
  zone& from = *block.managing_zone();
  from.remove(block.range, zone_caller(k));
  block.set_managing_zone(nullptr);
  account_group(block, from, false);
  k.memory.depopulate(block.range);
  sync_memory_stats(k);
  (void)k.memory_chain.call(memory_event::offline, what);
  return {};
}

}  // namespace memhp
