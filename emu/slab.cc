#include "emu/slab.h"

#include <fmt/format.h>

#include <algorithm>

#include "emu/kernel.h"
#include "emu/slab_sysfs.h"
#include "locks/guards.h"

namespace memhp {
namespace {

constexpr lock_class_key kobj_remove_work_key{
    .name = "(work_completion)(&s->kobj_remove_work)", .wait_type = 0};

constexpr int slab_callback_priority = 1;  // SLAB_CALLBACK_PRI

std::vector<int> nodes_of_cpus(const kernel& k) {
  std::vector<int> nids(k.cpus.nr_cpu_ids(), 0);
  for (const auto& node : k.nodes)
    for (const unsigned cpu : node->cpus) nids[cpu] = node->nid;
  return nids;
}

// kmem_cache_sanity_check(), and what a directory's name cannot be.
bool is_cache_name(std::string_view name) {
  return !name.empty() && name.size() < 128 && name != "." && name != ".." &&
         name.find_first_of("/\n") == std::string_view::npos;
}

}  // namespace

slab_allocator::slab_allocator(kernel& k)
    : pages{k},
      k_{k},
      locks_{k.locks},
      node_of_cpu_{nodes_of_cpus(k)},
      dead_{.state = cpuhp_state::slub_dead,
            .name = "slub:dead",
            .startup = nullptr,
            .teardown = [this](unsigned cpu) { return slub_cpu_dead(cpu); }},
      notifier_{.name = "slab_memory_callback",
                .priority = slab_callback_priority,
                .call =
                    [this](memory_event event, const memory_notify& what) {
                      return slab_memory_callback(event, what);
                    }},
      slab_nodes_(k.nodes.size(), false) {
  std::fill_n(slab_nodes_.begin(), k.config.nodes, true);  // those with boot memory
  (void)k.sysfs.make_path("kernel/slab");
  k.cpus.cpuhp_setup_state(dead_);
  k.memory_chain.add(notifier_);
}

slab_allocator::~slab_allocator() {
  k_.memory_chain.remove(notifier_);
  k_.cpus.cpuhp_remove_state(dead_);
}

void slab_allocator::account(slab_flags flags, int nid, unsigned order, bool got) {
  pglist_data& node = *k_.nodes[static_cast<std::size_t>(nid)];
  auto& counter = (flags & slab_reclaim_account) != 0 ? node.slab_reclaimable
                                                      : node.slab_unreclaimable;
  const std::uint64_t count = std::uint64_t{1} << order;
  if (got)
    counter += count;
  else
    counter -= count;
}

cache_ref slab_allocator::find_locked(std::string_view name) {
  const auto hit =
      std::ranges::find(slab_caches_, name, [](const cache_ref& c) { return c->name; });
  return hit == slab_caches_.end() ? nullptr : *hit;
}

cache_ref slab_allocator::find(std::string_view name) {
  guard hold{locks_.slab_mutex};
  return find_locked(name);
}

std::vector<std::string> slab_allocator::names() {
  std::vector<std::string> all;
  guard hold{locks_.slab_mutex};
  all.reserve(slab_caches_.size());
  for (const cache_ref& cache : slab_caches_) all.push_back(cache->name);
  return all;
}

// --- creation --------------------------------------------------------------------------
// The functions that lock reports show are not inlined, as the kernel's are not.

[[gnu::noinline]] result<cache_ref> slab_allocator::kmem_cache_create(
    std::string_view name, const cache_shape& shape) {
  const bool debug = (shape.flags & slab_debug_flags) != 0;
  if (k_.rules.debug_key == debug_key_enabled::in_cache_open) {
    // static_key_enable() below slab_mutex, while a CPU that goes down holds
    // cpu_hotplug_lock and wants slab_mutex: seed 003.
    auto made = kmem_cache_create_usercopy(name, shape,
                                           debug ? key_in_open::yes : key_in_open::no);
    return made;
  }
  if (k_.rules.debug_key == debug_key_enabled::before_slab_mutex && debug)
    static_key_enable(locks_, slub_debug_enabled);
  auto made = kmem_cache_create_usercopy(name, shape, key_in_open::no);
  return made;
}

[[gnu::noinline]] result<cache_ref> slab_allocator::kmem_cache_create_usercopy(
    std::string_view name, const cache_shape& shape, key_in_open key) {
  if (!is_cache_name(name)) return fail(errc::invalid_argument);
  switch (k_.rules.slab.create) {
    using enum cache_create_locks;
    case cpu_mem_slab: {
      read_guard cpus{locks_.cpu_hotplug_lock};
      read_guard mem{locks_.mem_hotplug_lock};
      guard hold{locks_.slab_mutex};
      auto made = create_cache(name, shape, key);
      return made;
    }
    case cpu_slab: {
      read_guard cpus{locks_.cpu_hotplug_lock};
      guard hold{locks_.slab_mutex};
      auto made = create_cache(name, shape, key);
      return made;
    }
    case slab_only: break;
  }
  guard hold{locks_.slab_mutex};
  auto made = create_cache(name, shape, key);
  return made;
}

result<cache_ref> slab_allocator::create_cache(std::string_view name,
                                               const cache_shape& shape,
                                               key_in_open key) {
  if (find_locked(name)) return fail(errc::file_exists);
  auto opened = kmem_cache_open(name, shape, key);
  if (!opened) return opened;
  if (auto ok = sysfs_slab_add(**opened); !ok) return fail(ok.error());
  slab_caches_.push_back(*opened);
  return opened;
}

[[gnu::noinline]] result<cache_ref> slab_allocator::kmem_cache_open(
    std::string_view name, const cache_shape& shape, key_in_open key) {
  if (key == key_in_open::yes) static_key_enable(locks_, slub_debug_enabled);
  const auto layout = calculate_sizes(shape, k_.cpus.nr_cpu_ids());
  if (!layout) return fail(layout.error());
  auto cache = std::make_shared<kmem_cache>(k_, std::string{name}, shape, *layout);
  // init_kmem_cache_nodes().
  for (std::size_t nid = 0; nid < slab_nodes_.size(); ++nid)
    cache->node(static_cast<int>(nid)).present = slab_nodes_[nid];
  return cache;
}

result<cache_ref> slab_allocator::memcg_create_kmem_cache(const cache_ref& root,
                                                          unsigned cgroup) {
  guard hold{locks_.slab_mutex};
  if (find_locked(root->name) != root) return fail(errc::no_such_file_or_directory);
  const std::string name = fmt::format("{}({}:memcg{})", root->name, cgroup, cgroup);
  for (const cache_ref& child : root->children)
    if (child->name == name) return fail(errc::file_exists);
  auto opened = kmem_cache_open(name, root->shape, key_in_open::no);
  if (!opened) return opened;
  (*opened)->root = root.get();
  // A child starts with what was written to its root's files before.
  (*opened)->min_partial = root->min_partial.load();
  (*opened)->cpu_partial = root->cpu_partial.load();
  if (auto ok = sysfs_slab_add(**opened); !ok) return fail(ok.error());
  root->children.push_back(*opened);
  return opened;
}

// --- destruction -----------------------------------------------------------------------

[[gnu::noinline]] result<> slab_allocator::kmem_cache_destroy(const cache_ref& cache) {
  result<> done;
  switch (k_.rules.cache_files) {
    using enum cache_files_removal;
    case under_slab_mutex:  // waits for writers that want slab_mutex: seed 004
      done = shutdown_locked(cache, &slab_allocator::sysfs_slab_remove);
      break;
    case by_work_item:
      done = shutdown_locked(cache, &slab_allocator::sysfs_slab_queue_removal);
      break;
    case deleted_under_slab_mutex:
      done = shutdown_locked(cache, &slab_allocator::sysfs_slab_del_queue_event);
      break;
    case after_locks:
      done = shutdown_locked(cache, &slab_allocator::leave_files);
      if (done) sysfs_slab_remove(cache);
      break;
  }
  asm volatile("");  // no tail call: it would take this function out of the reports
  return done;
}

result<> slab_allocator::shutdown_locked(const cache_ref& cache, files_fn files) {
  switch (k_.rules.slab.destroy) {
    using enum cache_destroy_locks;
    case cpu_mem_slab: {
      read_guard cpus{locks_.cpu_hotplug_lock};
      read_guard mem{locks_.mem_hotplug_lock};
      guard hold{locks_.slab_mutex};
      return shutdown_cache(cache, files);
    }
    case cpu_slab: {
      read_guard cpus{locks_.cpu_hotplug_lock};
      guard hold{locks_.slab_mutex};
      return shutdown_cache(cache, files);
    }
    case slab_only: break;
  }
  guard hold{locks_.slab_mutex};
  return shutdown_cache(cache, files);
}

[[gnu::noinline]] result<> slab_allocator::shutdown_cache(const cache_ref& cache,
                                                          files_fn files) {
  const auto hit = std::ranges::find(slab_caches_, cache);
  if (hit == slab_caches_.end()) return fail(errc::no_such_file_or_directory);
  for (const cache_ref& child : cache->children)
    if (auto ok = kmem_cache_shutdown(*child); !ok) return ok;
  if (auto ok = kmem_cache_shutdown(*cache); !ok) return ok;
  slab_caches_.erase(hit);
  (this->*files)(cache);
  return {};
}

// Frees every slab. device_or_resource_busy if one has objects in it: they would be lost.
result<> slab_allocator::kmem_cache_shutdown(kmem_cache& cache) {
  flush_all_cpus_locked(cache);
  cache.do_shrink();
  if (cache.slabs_by_node().empty()) return {};
  k_.printk(fmt::format("kmem_cache_destroy {}: Slab cache still has objects when called",
                        cache.name));
  return fail(errc::device_or_resource_busy);
}

void slab_allocator::sysfs_slab_remove(const cache_ref& cache) {
  for (const cache_ref& child : cache->children) sysfs_slab_remove_event(*child);
  sysfs_slab_remove_event(*cache);
  kobject_del(*cache);
}

// The name stays taken until the work has run.
void slab_allocator::sysfs_slab_queue_removal(const cache_ref& cache) {
  k_.events_wq.queue(kobj_remove_work_key, [this, cache] { sysfs_slab_remove(cache); });
}

void slab_allocator::sysfs_slab_del_queue_event(const cache_ref& cache) {
  kobject_del(*cache);
  k_.events_wq.queue(kobj_remove_work_key, [cache] {
    for (const cache_ref& child : cache->children) sysfs_slab_remove_event(*child);
    sysfs_slab_remove_event(*cache);
  });
}

// --- flushing and shrinking ------------------------------------------------------------

void slab_allocator::flush_all_cpus_locked(kmem_cache& cache) {
  guard hold{flush_lock_};
  cache.flush_every_cpu();
}

void slab_allocator::flush_all(kmem_cache& cache) {
  if (k_.rules.slab.flush == cache_flush_way::by_interrupt) {
    cache.flush_every_cpu();
  } else {
    // A work item on each CPU: none of them may go away meanwhile.
    read_guard cpus{locks_.cpu_hotplug_lock};
    flush_all_cpus_locked(cache);
  }
}

void slab_allocator::kmem_cache_shrink(kmem_cache& cache) {
  flush_all(cache);
  cache.do_shrink();
}

// --- CPUs and memory that come and go --------------------------------------------------

[[gnu::noinline]] result<> slab_allocator::slub_cpu_dead(unsigned cpu) {
  guard hold{locks_.slab_mutex};
  for (const cache_ref& cache : slab_caches_) {
    cache->flush_cpu_slab(cpu);
    for (const cache_ref& child : cache->children) child->flush_cpu_slab(cpu);
  }
  return {};
}

[[gnu::noinline]] result<> slab_allocator::slab_memory_callback(
    memory_event event, const memory_notify& what) {
  switch (event) {
    using enum memory_event;
    case going_online: slab_mem_going_online_callback(what.nid); break;
    case going_offline: slab_mem_going_offline_callback(); break;
    case offline:
    case cancel_online: slab_mem_offline_callback(what.nid); break;
    case online:
    case cancel_offline: break;
  }
  return {};
}

// The node gets its first memory: every cache gets a place for slabs there.
void slab_allocator::slab_mem_going_online_callback(int nid) {
  guard hold{locks_.slab_mutex};
  for (const cache_ref& cache : slab_caches_) {
    cache->node(nid).present = true;
    for (const cache_ref& child : cache->children) child->node(nid).present = true;
  }
  slab_nodes_[static_cast<std::size_t>(nid)] = true;
}

// Empty slabs would only be in the way.
void slab_allocator::slab_mem_going_offline_callback() {
  guard hold{locks_.slab_mutex};
  for (const cache_ref& cache : slab_caches_) {
    flush_all_cpus_locked(*cache);
    cache->do_shrink();
    for (const cache_ref& child : cache->children) {
      flush_all_cpus_locked(*child);
      child->do_shrink();
    }
  }
}

// The places stay: somebody may be looking at them without a lock.
void slab_allocator::slab_mem_offline_callback(int nid) {
  if (k_.nodes[static_cast<std::size_t>(nid)]->has_memory()) return;
  guard hold{locks_.slab_mutex};
  slab_nodes_[static_cast<std::size_t>(nid)] = false;
}

}  // namespace memhp
