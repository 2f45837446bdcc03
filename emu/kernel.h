// The globals of one emulated kernel: what in Linux are static variables of many files
// stands here once a machine.
//
// Thread safety: each member says for itself; references and configuration are constant
// after construction.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "blocks/memmap.h"
#include "blocks/memory_block.h"
#include "blocks/memory_notifier.h"
#include "blocks/node.h"
#include "blocks/numa_topology.h"
#include "blocks/phys_memory.h"
#include "emu/cpu_hotplug.h"
#include "emu/fault_injection.h"
#include "emu/hotplug_locks.h"
#include "emu/hung_task.h"
#include "emu/kernfs.h"
#include "emu/kmsg.h"
#include "emu/machine.h"
#include "emu/resource.h"
#include "emu/uevent.h"
#include "emu/workqueue.h"

namespace memhp {

class memory_block_device;
class memory_subsystem;
class node_subsystem;
class cpu_subsystem;
class acpi_memhotplug;
class dax_bus;
class debug_files;
class dlpar;
class hv_balloon;
class memtrace;
class proc_files;
class slab_allocator;
class slab_debug_files;
class xen_balloon;

// memory_hotplug.online_policy.
enum class online_policy : std::uint8_t { contig_zones, auto_movable };

// module/memory_hotplug/parameters; each may be read and set by any thread.
struct memory_hotplug_parameters {
  std::atomic<online_policy> policy = online_policy::contig_zones;
  std::atomic<unsigned> auto_movable_ratio = 301;  // percent
  std::atomic<bool> auto_movable_numa_aware = true;
};

struct kernel {
  kernel(machine_config config, machine_environment environment);
  ~kernel();
  kernel(const kernel&) = delete;
  kernel& operator=(const kernel&) = delete;

  // Constant after construction.
  const machine_config config;
  const lock_rules rules;
  no_memory nothing;
  machine_stats own_stats;
  phys_memory& memory;
  machine_stats& stats;
  const std::function<void(const std::string&)> log;
  const std::function<void(unsigned ms, std::function<void()>)> after;  // may be null
  const std::function<void(unsigned ms)> pause;                         // may be null
  const numa_topology topology;
  std::vector<std::unique_ptr<pglist_data>> nodes;  // every possible node, by number

  // Synchronize themselves.
  hotplug_locks locks;
  cpu_hotplug cpus;
  memmap pages;
  memory_notifier_chain memory_chain;
  uevent_log uevents;
  kmsg_ring messages;
  hung_task_detector hung_tasks{*this};
  static constexpr lock_class_key kacpi_hotplug_key{
      .name = "(wq_completion)kacpi_hotplug", .wait_type = 0};
  workqueue kacpi_hotplug_wq;
  static constexpr lock_class_key events_key{.name = "(wq_completion)events",
                                             .wait_type = 0};
  workqueue events_wq;  // system_wq
  // Woken when a page that kept a block online is free.
  tracked_wait_queue migrate_waitq{"migrate_waitq"};
  resource_tree iomem;
  memory_hotplug_parameters parameters;
  fault_points faults;
  atomic_cell<online_type> auto_online{"mhp_default_online_type", online_type::offline};
  static constexpr lock_class_key hugetlb_lock_key{.name = "hugetlb_lock"};
  tracked_mutex hugetlb_lock{hugetlb_lock_key};  // outside memory_blocks_lock
  kernfs_root sysfs;

  // Every present block by number. Whoever holds a pointer into it beyond the lock holds
  // device_hotplug_lock, under which blocks come and go.
  static constexpr lock_class_key memory_blocks_lock_key{.name = "xa_lock"};
  tracked_rw_semaphore memory_blocks_lock{memory_blocks_lock_key};
  std::map<block_id, std::unique_ptr<memory_block_device>> memory_blocks
      GUARDED_BY(memory_blocks_lock);

  // Subsystems: their files and devices.
  std::unique_ptr<node_subsystem> node;
  std::unique_ptr<cpu_subsystem> cpu;
  std::unique_ptr<memory_subsystem> memory_dir;
  std::unique_ptr<slab_allocator> slab;
  std::unique_ptr<acpi_memhotplug> acpi;
  std::unique_ptr<debug_files> debug;
  std::unique_ptr<fault_files> debug_faults;
  std::unique_ptr<memtrace> trace;  // kernel/debug/powerpc/memtrace
  std::unique_ptr<slab_debug_files> slab_debug;
  std::unique_ptr<proc_files> proc;
  std::unique_ptr<dax_bus> dax;
  // Of the platform: null on others.
  std::unique_ptr<hv_balloon> hv;
  std::unique_ptr<xen_balloon> xen;
  std::unique_ptr<dlpar> pseries;
  std::unique_ptr<kobject> module;  // module/memory_hotplug

  // pr_info() and pr_warn(): to the log and to proc/kmsg, a record for each line.
  void printk(const std::string& text, log_level level = log_level::info) {
    messages.print(level, text);
    if (!log) return;
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      log(std::string{line});
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
  }
  bool node_possible(int nid) const {
    return nid >= 0 && static_cast<std::size_t>(nid) < nodes.size();
  }
  block_id block_of(phys_addr at) const { return {at.value / config.block_size}; }
};

}  // namespace memhp
