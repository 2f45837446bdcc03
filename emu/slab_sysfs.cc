#include "emu/slab_sysfs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "emu/kernel.h"
#include "emu/parse.h"
#include "emu/slab.h"
#include "locks/guards.h"

namespace memhp {
namespace {

kmem_cache& to_cache(kobject& object) {
  return static_cast<kmem_cache&>(object);
}

// --- what is shown ---------------------------------------------------------------------

// The total, and the share of each node that has one.
std::string show_counts(const counts& found, char where) {
  std::uint64_t total = 0;
  std::string shares;
  for (const auto& [place, count] : found) {
    total += count;
    shares += fmt::format(" {}{}={}", where, place, count);
  }
  return fmt::format("{}{}\n", total, shares);
}

template <counts (kmem_cache::*Of)() const>
result<std::string> counts_show(kobject& object, task&) {
  return show_counts((to_cache(object).*Of)(), 'N');
}

template <auto Of>
result<std::string> layout_show(kobject& object, task&) {
  return fmt::format("{}\n", to_cache(object).layout.*Of);
}

template <slab_flags Flag>
result<std::string> flag_show(kobject& object, task&) {
  return (to_cache(object).shape.flags & Flag) != 0 ? "1\n" : "0\n";
}

template <auto Of>
result<std::string> tunable_show(kobject& object, task&) {
  return fmt::format("{}\n", (to_cache(object).*Of).load());
}

result<std::string> object_size_show(kobject& object, task&) {
  return fmt::format("{}\n", to_cache(object).shape.object_size);
}
result<std::string> ctor_show(kobject& object, task&) {
  return to_cache(object).shape.constructor ? "ctor\n" : "";
}
result<std::string> zero_show(kobject&, task&) {
  return "0\n";
}
result<std::string> empty_show(kobject&, task&) {
  return std::string{};
}

// "objects(slabs)", and the same a CPU. The objects are those of half full slabs.
result<std::string> slabs_cpu_partial_show(kobject& object, task&) {
  const kmem_cache& cache = to_cache(object);
  const auto found = cache.cpu_partial_slabs_by_cpu();
  const auto objects = [&](std::uint64_t slabs) {
    return slabs * cache.layout.objects / 2;
  };
  std::uint64_t slabs = 0;
  std::string shares;
  for (const auto& [cpu, count] : found) {
    slabs += count;
    shares += fmt::format(" C{}={}({})", cpu, objects(count), count);
  }
  return fmt::format("{}({}){}\n", objects(slabs), slabs, shares);
}

// --- what is stored --------------------------------------------------------------------

using store_fn = result<> (*)(kmem_cache&, std::string_view);

// Not inlined: lock reports show it, as the kernel's do.
[[gnu::noinline]] result<std::size_t> slab_attr_store(kmem_cache& cache, store_fn store,
                                                      std::string_view data) {
  if (auto ok = store(cache, data); !ok) return fail(ok.error());
  if (cache.k.rules.cache_store == cache_store_reach::children_under_slab_mutex) {
    // The children get what their root got. An error of theirs does not count.
    guard hold{cache.k.locks.slab_mutex};
    if (cache.root == nullptr)
      for (const cache_ref& child : cache.children) (void)store(*child, data);
    return data.size();
  }
  return data.size();
}

template <store_fn Store>
result<std::size_t> store_with(kobject& object, std::string_view data, task&) {
  return slab_attr_store(to_cache(object), Store, data);
}

result<unsigned> kstrtouint(std::string_view data) {
  const auto value = kstrtoull(data);
  if (!value) return fail(value.error());
  if (*value > UINT32_MAX) return fail(errc::result_out_of_range);
  return static_cast<unsigned>(*value);
}

result<> min_partial_store(kmem_cache& cache, std::string_view data) {
  const auto value = kstrtoull(data);
  if (!value) return fail(value.error());
  cache.min_partial = static_cast<unsigned>(std::min<std::uint64_t>(*value, UINT32_MAX));
  return {};
}

result<> cpu_partial_store(kmem_cache& cache, std::string_view data) {
  const auto value = kstrtouint(data);
  if (!value) return fail(value.error());
  if (*value != 0 && cache.debug()) return fail(errc::invalid_argument);
  cache.cpu_partial = *value;
  cache.k.slab->flush_all(cache);
  return {};
}

result<> shrink_store(kmem_cache& cache, std::string_view data) {
  if (!data.starts_with('1')) return fail(errc::invalid_argument);
  cache.k.slab->kmem_cache_shrink(cache);
  return {};
}

result<> validate_store(kmem_cache& cache, std::string_view data) {
  if (!data.starts_with('1') || !cache.debug()) return fail(errc::invalid_argument);
  if (const std::size_t wrong = cache.validate(); wrong != 0)
    cache.k.printk(fmt::format("SLUB {}: {} slabs are inconsistent", cache.name, wrong));
  return {};
}

result<> remote_node_defrag_ratio_store(kmem_cache& cache, std::string_view data) {
  const auto value = kstrtouint(data);
  if (!value) return fail(value.error());
  if (*value > 100) return fail(errc::result_out_of_range);
  cache.remote_node_defrag_ratio = *value;
  return {};
}

constexpr mode_t read_only = 0400;
constexpr mode_t read_write = 0600;

constexpr attribute shown(std::string_view name,
                          result<std::string> (*show)(kobject&, task&)) {
  return {.name = name, .mode = read_only, .show = show};
}
// Stores may wait for slab_mutex and for cpu_hotplug_lock.
constexpr attribute stored(std::string_view name,
                           result<std::string> (*show)(kobject&, task&),
                           result<std::size_t> (*store)(kobject&, std::string_view,
                                                        task&)) {
  return {.name = name,
          .mode = read_write,
          .show = show,
          .store = store,
          .store_sleeps = true};
}

constexpr std::array slab_attrs = {
    shown("slab_size", layout_show<&slab_layout::size>),
    shown("object_size", object_size_show),
    shown("objs_per_slab", layout_show<&slab_layout::objects>),
    shown("order", layout_show<&slab_layout::order>),
    stored("min_partial", tunable_show<&kmem_cache::min_partial>,
           store_with<min_partial_store>),
    stored("cpu_partial", tunable_show<&kmem_cache::cpu_partial>,
           store_with<cpu_partial_store>),
    shown("objects", counts_show<&kmem_cache::objects_by_node>),
    shown("objects_partial", counts_show<&kmem_cache::partial_objects_by_node>),
    shown("partial", counts_show<&kmem_cache::partial_slabs_by_node>),
    shown("cpu_slabs", counts_show<&kmem_cache::cpu_slabs_by_node>),
    shown("ctor", ctor_show),
    shown("aliases", zero_show),
    shown("align", layout_show<&slab_layout::align>),
    shown("hwcache_align", flag_show<slab_hwcache_align>),
    shown("reclaim_account", flag_show<slab_reclaim_account>),
    shown("destroy_by_rcu", flag_show<slab_typesafe_by_rcu>),
    stored("shrink", empty_show, store_with<shrink_store>),
    shown("slabs_cpu_partial", slabs_cpu_partial_show),
    shown("total_objects", counts_show<&kmem_cache::total_objects_by_node>),
    shown("slabs", counts_show<&kmem_cache::slabs_by_node>),
    shown("sanity_checks", flag_show<slab_consistency_checks>),
    shown("trace", flag_show<slab_trace>),
    shown("red_zone", flag_show<slab_red_zone>),
    shown("poison", flag_show<slab_poison>),
    shown("store_user", flag_show<slab_store_user>),
    stored("validate", empty_show, store_with<validate_store>),
    shown("cache_dma", flag_show<slab_cache_dma>),
    stored("remote_node_defrag_ratio",
           tunable_show<&kmem_cache::remote_node_defrag_ratio>,
           store_with<remote_node_defrag_ratio_store>),
    shown("usersize", zero_show),
};

// Where the cache's directory goes: kernel/slab, or "cgroup" of its root.
kernfs_node& kset_of(kmem_cache& cache) {
  kernfs_root& sysfs = cache.k.sysfs;
  if (cache.root == nullptr) return *sysfs.make_path("kernel/slab");
  if (!cache.root->children_dir)
    if (auto made = sysfs.create_dir(*cache.root->dir, "cgroup", cache.root))
      cache.root->children_dir = *made;
  return *cache.root->children_dir;
}

void slab_uevent(kmem_cache& cache, std::string_view action) {
  cache.k.uevents.send(action, "/" + cache.k.sysfs.path_of(*cache.dir), "slab");
}

}  // namespace

result<> sysfs_slab_add(kmem_cache& cache) {
  kernfs_root& sysfs = cache.k.sysfs;
  auto dir = sysfs.create_dir(kset_of(cache), cache.name, &cache);
  if (!dir) {
    cache.k.printk("sysfs: cannot create duplicate filename '/kernel/slab/" + cache.name +
                   "'");
    return fail(dir.error());
  }
  cache.dir = *dir;
  for (const attribute& attr : slab_attrs) (void)sysfs.create_file(**dir, attr, cache);
  slab_uevent(cache, "add");
  return {};
}

void sysfs_slab_remove_event(kmem_cache& cache) {
  slab_uevent(cache, "remove");
}

// Not inlined, as above.
[[gnu::noinline]] void kobject_del(kmem_cache& cache) {
  cache.k.sysfs.remove(*cache.dir);
  asm volatile("");  // no tail call: it would take this function out of the reports
}

}  // namespace memhp
