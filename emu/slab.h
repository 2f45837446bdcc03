// The slab allocator: the list of caches, their creation and destruction, and what
// happens to them when CPUs and memory come and go.
//
// Thread safety: any thread. The order of slab_mutex, cpu_hotplug_lock and
// mem_hotplug_lock is that of lock_rules; the functions below say which field.
//
// Mirrors mm/slab_common.c and mm/slub.c (6.1).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "blocks/memory_notifier.h"
#include "emu/cpu_hotplug.h"
#include "emu/hotplug_locks.h"
#include "emu/kmem_cache.h"
#include "emu/slab_pages.h"
#include "emu/static_key.h"

namespace memhp {

using cache_ref = std::shared_ptr<kmem_cache>;

class slab_allocator final : public kobject {
 public:
  explicit slab_allocator(kernel& k);
  ~slab_allocator() override;

  // Synchronize themselves.
  slab_pages pages;
  static_key slub_debug_enabled;

  // Creates a cache and its files under kernel/slab. lock_rules: debug_key and
  // slab.create. The caller holds none of the hotplug locks.
  // Errors: invalid_argument (name or shape), file_exists if the name is taken, also by
  // the files of a cache that is being destroyed.
  result<cache_ref> kmem_cache_create(std::string_view name, const cache_shape& shape);
  // memcg_create_kmem_cache(): the cache of one memory cgroup, below that of its root.
  // It follows what is written to the root's files.
  result<cache_ref> memcg_create_kmem_cache(const cache_ref& root, unsigned cgroup);
  // Destroys the cache and its children. lock_rules: cache_files and slab.destroy.
  // device_or_resource_busy if objects are left: the cache then stays.
  // no_such_file_or_directory if it was destroyed already.
  result<> kmem_cache_destroy(const cache_ref& cache);
  // Gives empty slabs back: kmem_cache_shrink().
  void kmem_cache_shrink(kmem_cache& cache);
  // Gives what the CPUs hold back. lock_rules: slab.flush.
  void flush_all(kmem_cache& cache);

  // A cache by name, null if there is none. Takes slab_mutex.
  cache_ref find(std::string_view name);
  std::vector<std::string> names();

  int node_of_cpu(unsigned cpu) const { return node_of_cpu_[cpu]; }
  // Counts pages that the allocator got or gave back.
  void account(slab_flags flags, int nid, unsigned order, bool got);

 private:
  enum class key_in_open : bool { no, yes };

  result<cache_ref> kmem_cache_create_usercopy(std::string_view name,
                                               const cache_shape& shape, key_in_open key);
  result<cache_ref> create_cache(std::string_view name, const cache_shape& shape,
                                 key_in_open key) REQUIRES(locks_.slab_mutex);
  result<cache_ref> kmem_cache_open(std::string_view name, const cache_shape& shape,
                                    key_in_open key) REQUIRES(locks_.slab_mutex);
  cache_ref find_locked(std::string_view name) REQUIRES(locks_.slab_mutex);

  // What is to become of a cache's files while its end is prepared under slab_mutex.
  using files_fn = void (slab_allocator::*)(const cache_ref&);
  result<> shutdown_locked(const cache_ref& cache, files_fn files);
  result<> shutdown_cache(const cache_ref& cache, files_fn files)
      REQUIRES(locks_.slab_mutex);
  result<> kmem_cache_shutdown(kmem_cache& cache) REQUIRES(locks_.slab_mutex);
  void leave_files(const cache_ref&) {}
  void sysfs_slab_remove(const cache_ref& cache);
  void sysfs_slab_queue_removal(const cache_ref& cache);
  void sysfs_slab_del_queue_event(const cache_ref& cache);

  void flush_all_cpus_locked(kmem_cache& cache);
  result<> slub_cpu_dead(unsigned cpu);
  result<> slab_memory_callback(memory_event event, const memory_notify& what);
  void slab_mem_going_online_callback(int nid);
  void slab_mem_going_offline_callback();
  void slab_mem_offline_callback(int nid);

  // Constant after construction.
  kernel& k_;
  hotplug_locks& locks_;
  std::vector<int> node_of_cpu_;
  const cpuhp_step dead_;
  const memory_notifier notifier_;

  // One flush of all CPUs at a time: it waits for a work item on each.
  static constexpr lock_class_key flush_lock_key{.name = "flush_lock"};
  tracked_mutex flush_lock_{flush_lock_key};

  std::vector<cache_ref> slab_caches_ GUARDED_BY(locks_.slab_mutex);  // roots
  // Nodes with memory, by number.
  std::vector<bool> slab_nodes_ GUARDED_BY(locks_.slab_mutex);
};

}  // namespace memhp
