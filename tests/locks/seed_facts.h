// Three published reports as facts: what was wanted, held and found, in the order that
// the kernel found it. The names of functions stand in for their addresses.
#pragma once

#include <initializer_list>
#include <string_view>

#include "locks/lockdep_report.h"

namespace memhp {

inline stack_trace trace_of(std::initializer_list<std::string_view> names) {
  stack_trace trace;
  for (const std::string_view name : names) trace.add({.name = name});
  return trace;
}

inline const void* at_address(std::uintptr_t address) {
  return reinterpret_cast<const void*>(address);
}

// Kernel 5.5: removing a DIMM's block devices under mem_hotplug_lock.
inline circular_report dax_kmem_unbind_report() {
  const reported_class kn{
      .name = "kn->count", .version = 241, .usage = {.write = true, .read = true}};
  const reported_class cpu{.name = "cpu_hotplug_lock",
                           .usage = {.write = true, .read = true},
                           .percpu_rwsem = true};
  const reported_class mem{.name = "mem_hotplug_lock",
                           .usage = {.write = true, .read = true},
                           .percpu_rwsem = true};
  circular_report report;
  report.kernel = {.release = "5.5.0-rc3+",
                   .build = "#230",
                   .taint = "Tainted: G           OE    ",
                   .hardware = ""};
  report.task = {.comm = "lt-daxctl", .pid = 6459, .cpu = 0};
  report.wanted = {.lock = kn,
                   .instance = at_address(0xffff99c7f0003510),
                   .at = {.name = "kernfs_remove_by_name_ns+0x41/0x80"}};
  report.blocking = {.lock = mem,
                     .instance = at_address(0xffffffffa76a5450),
                     .at = {.name = "percpu_down_write+0x20/0xe0"}};
  report.chain = {
      {.lock = kn,
       .stack = trace_of({"check_prev_add+0x98/0xa40",
                          "validate_chain+0x576/0x860",
                          "__lock_acquire+0x39c/0x790",
                          "lock_acquire+0xa2/0x1b0",
                          "__kernfs_remove+0x25f/0x2e0",
                          "kernfs_remove_by_name_ns+0x41/0x80",
                          "remove_files.isra.0+0x30/0x70",
                          "sysfs_remove_group+0x3d/0x80",
                          "sysfs_remove_groups+0x29/0x40",
                          "device_remove_attrs+0x39/0x70",
                          "device_del+0x16a/0x3f0",
                          "device_unregister+0x16/0x60",
                          "remove_memory_block_devices+0x82/0xb0",
                          "try_remove_memory+0xb5/0x130",
                          "remove_memory+0x26/0x40",
                          "dev_dax_kmem_remove+0x44/0x6a [kmem]",
                          "device_release_driver_internal+0xe4/0x1c0",
                          "unbind_store+0xef/0x120",
                          "kernfs_fop_write+0xcf/0x1c0",
                          "vfs_write+0xdb/0x1d0",
                          "ksys_write+0x65/0xe0",
                          "do_syscall_64+0x5c/0xa0",
                          "entry_SYSCALL_64_after_hwframe+0x49/0xbe"})},
      {.lock = cpu,
       .stack = trace_of({"__lock_acquire+0x39c/0x790", "lock_acquire+0xa2/0x1b0",
                          "cpus_read_lock+0x3e/0xb0", "online_pages+0x37/0x300",
                          "memory_subsys_online+0x17d/0x1c0", "device_online+0x60/0x80",
                          "state_store+0x65/0xd0", "kernfs_fop_write+0xcf/0x1c0",
                          "vfs_write+0xdb/0x1d0", "ksys_write+0x65/0xe0",
                          "do_syscall_64+0x5c/0xa0",
                          "entry_SYSCALL_64_after_hwframe+0x49/0xbe"})},
      {.lock = mem,
       .stack =
           trace_of({"__lock_acquire+0x39c/0x790", "lock_acquire+0xa2/0x1b0",
                     "get_online_mems+0x3e/0xb0", "kmem_cache_create_usercopy+0x2e/0x260",
                     "kmem_cache_create+0x12/0x20", "ptlock_cache_init+0x20/0x28",
                     "start_kernel+0x243/0x547", "secondary_startup_64+0xb6/0xc0"})}};
  report.held = {report.blocking};
  return report;
}

// Kernel 5.12: taking a CPU down against creating a slab cache.
inline circular_report slab_debug_report() {
  const reported_class cpu{.name = "cpu_hotplug_lock",
                           .usage = {.write = true, .read = true},
                           .percpu_rwsem = true};
  const reported_class slab{
      .name = "slab_mutex", .usage = {.write = true}, .wait_outer = 3, .wait_inner = 3};
  circular_report report;
  report.kernel = {.release = "5.12.0+",
                   .build = "#15",
                   .hardware =
                       "QEMU Standard PC (Q35 + ICH9, 2009), BIOS "
                       "1.13.0-1ubuntu1.1 04/01/2014"};
  report.task = {.comm = "rcu_torture_sta", .pid = 109, .cpu = 3};
  report.wanted = {.lock = cpu,
                   .instance = at_address(0xffffffff96063cd0),
                   .read = true,
                   .at = {.name = "static_key_enable+0x9/0x20"}};
  report.blocking = {.lock = slab,
                     .instance = at_address(0xffffffff96173c28),
                     .at = {.name = "kmem_cache_create_usercopy+0x2d/0x250"}};
  report.chain = {
      {.lock = cpu,
       .stack = trace_of({"check_prev_add+0x8f/0xbf0", "__lock_acquire+0x13f0/0x1d80",
                          "lock_acquire+0xb9/0x3a0", "cpus_read_lock+0x21/0xa0",
                          "static_key_enable+0x9/0x20", "__kmem_cache_create+0x38d/0x430",
                          "kmem_cache_create_usercopy+0x146/0x250",
                          "kmem_cache_create+0xd/0x10", "rcu_torture_stats+0x79/0x280",
                          "kthread+0x10a/0x140", "ret_from_fork+0x22/0x30"})},
      {.lock = slab,
       .stack = trace_of({"lock_acquire+0xb9/0x3a0", "__mutex_lock+0x8d/0x920",
                          "slub_cpu_dead+0x15/0xf0", "cpuhp_invoke_callback+0x17a/0x7c0",
                          "cpuhp_invoke_callback_range+0x3b/0x80", "_cpu_down+0xdf/0x2a0",
                          "cpu_down+0x2c/0x50", "device_offline+0x82/0xb0",
                          "remove_cpu+0x1a/0x30", "torture_offline+0x80/0x140",
                          "torture_onoff+0x147/0x260", "kthread+0x10a/0x140",
                          "ret_from_fork+0x22/0x30"})}};
  report.held = {report.blocking};
  report.backtrace = trace_of({"dump_stack+0x6d/0x89",
                               "check_noncircular+0xfe/0x110",
                               "? lock_is_held_type+0x98/0x110",
                               "check_prev_add+0x8f/0xbf0",
                               "__lock_acquire+0x13f0/0x1d80",
                               "lock_acquire+0xb9/0x3a0",
                               "? static_key_enable+0x9/0x20",
                               "? mark_held_locks+0x49/0x70",
                               "cpus_read_lock+0x21/0xa0",
                               "? static_key_enable+0x9/0x20",
                               "static_key_enable+0x9/0x20",
                               "__kmem_cache_create+0x38d/0x430",
                               "kmem_cache_create_usercopy+0x146/0x250",
                               "? rcu_torture_stats_print+0xd0/0xd0",
                               "kmem_cache_create+0xd/0x10",
                               "rcu_torture_stats+0x79/0x280",
                               "? rcu_torture_stats_print+0xd0/0xd0",
                               "kthread+0x10a/0x140",
                               "? kthread_park+0x80/0x80",
                               "ret_from_fork+0x22/0x30"});
  return report;
}

// Kernel 4.10: destroying a slab cache against a write to one of its files.
inline circular_report slab_remove_report() {
  const reported_class kn{.name = "s_active",
                          .version = 120,
                          .usage = {.write = true, .read = true, .reclaim_read = true}};
  const reported_class slab{.name = "slab_mutex",
                            .usage = {.write = true, .reclaim_write = true}};
  const reported_class cpu{
      .name = "cpu_hotplug.dep_map",
      .usage = {
          .write = true, .read = true, .reclaim_write = true, .reclaim_read = true}};
  circular_report report;
  report.kernel = {
      .release = "4.10.0-test+",
      .build = "#48",
      .hardware =
          "Hewlett-Packard HP Compaq Pro 6300 SFF/339A, BIOS K01 v02.05 05/07/2012"};
  report.task = {.comm = "rmmod", .pid = 1211, .cpu = 3};
  report.wanted = {
      .lock = kn,
      .at = {.ip = at_address(0xffffffff81308073), .name = "kernfs_remove+0x23/0x40"}};
  report.blocking = {.lock = slab,
                     .at = {.ip = at_address(0xffffffff8120f691),
                            .name = "kmem_cache_destroy+0x41/0x2d0"}};
  report.chain = {
      {.lock = kn,
       .stack = trace_of(
           {"__lock_acquire+0x10ed/0x1260", "lock_acquire+0xf6/0x1f0",
            "__kernfs_remove+0x254/0x320", "kernfs_remove+0x23/0x40",
            "sysfs_remove_dir+0x51/0x80", "kobject_del+0x18/0x50",
            "__kmem_cache_shutdown+0x3e6/0x460", "kmem_cache_destroy+0x1fb/0x2d0",
            "kvm_exit+0x2d/0x80 [kvm]", "vmx_exit+0x19/0xa1b [kvm_intel]",
            "SyS_delete_module+0x198/0x1f0", "entry_SYSCALL_64_fastpath+0x1f/0xc2"})},
      {.lock = slab,
       .stack =
           trace_of({"lock_acquire+0xf6/0x1f0", "__mutex_lock+0x75/0x950",
                     "mutex_lock_nested+0x1b/0x20", "slab_attr_store+0x75/0xd0",
                     "sysfs_kf_write+0x45/0x60", "kernfs_fop_write+0x13c/0x1c0",
                     "__vfs_write+0x28/0x120", "vfs_write+0xc8/0x1e0",
                     "SyS_write+0x49/0xa0", "entry_SYSCALL_64_fastpath+0x1f/0xc2"})}};
  report.held = {
      {.lock = cpu,
       .read = true,
       .at = {.ip = at_address(0xffffffff810a7877), .name = "get_online_cpus+0x37/0x80"}},
      report.blocking};
  report.backtrace = trace_of(
      {"dump_stack+0x86/0xc3", "print_circular_bug+0x1be/0x210",
       "__lock_acquire+0x10ed/0x1260", "? 0xffffffffa0000077", "lock_acquire+0xf6/0x1f0",
       "? kernfs_remove+0x23/0x40", "__kernfs_remove+0x254/0x320",
       "? kernfs_remove+0x23/0x40", "? __kernfs_remove+0x5/0x320",
       "kernfs_remove+0x23/0x40", "sysfs_remove_dir+0x51/0x80", "kobject_del+0x18/0x50",
       "__kmem_cache_shutdown+0x3e6/0x460", "kmem_cache_destroy+0x1fb/0x2d0",
       "kvm_exit+0x2d/0x80 [kvm]", "vmx_exit+0x19/0xa1b [kvm_intel]",
       "SyS_delete_module+0x198/0x1f0", "? SyS_delete_module+0x5/0x1f0",
       "entry_SYSCALL_64_fastpath+0x1f/0xc2"});
  return report;
}

}  // namespace memhp
