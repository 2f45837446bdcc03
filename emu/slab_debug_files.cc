#include "emu/slab_debug_files.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "emu/cpu_hotplug.h"
#include "emu/parse.h"
#include "locks/guards.h"

namespace memhp {
namespace {

slab_debug_files& to_files(kobject& object) {
  return static_cast<slab_debug_files&>(object);
}

// --- words -----------------------------------------------------------------------------

// The letters are those of the kernel's slub_debug parameter.
constexpr std::array<std::pair<char, slab_flags>, 5> debug_letters = {{
    {'F', slab_consistency_checks},
    {'Z', slab_red_zone},
    {'P', slab_poison},
    {'U', slab_store_user},
    {'T', slab_trace},
}};
constexpr std::array<std::pair<std::string_view, slab_flags>, 4> flag_words = {{
    {"hwcache_align", slab_hwcache_align},
    {"cache_dma", slab_cache_dma},
    {"reclaim_account", slab_reclaim_account},
    {"typesafe_by_rcu", slab_typesafe_by_rcu},
}};

result<slab_flags> parse_debug(std::string_view letters) {
  slab_flags flags = 0;
  for (const char letter : letters) {
    slab_flags flag = 0;
    for (const auto& [name, value] : debug_letters)
      if (name == letter) flag = value;
    if (flag == 0) return fail(errc::invalid_argument);
    flags |= flag;
  }
  return flags;
}

// A word of kmem_cache_create behind the name.
result<> parse_shape_word(cache_shape& shape, std::string_view word) {
  for (const auto& [name, flag] : flag_words)
    if (word == name) {
      shape.flags |= flag;
      return {};
    }
  if (word == "ctor") {
    shape.constructor = true;
    return {};
  }
  const auto equals = word.find('=');
  if (equals == std::string_view::npos) return fail(errc::invalid_argument);
  const std::string_view key = word.substr(0, equals);
  const std::string_view value = word.substr(equals + 1);
  if (key == "debug") {
    const auto flags = parse_debug(value);
    if (!flags) return fail(flags.error());
    shape.flags |= *flags;
    return {};
  }
  const auto number = memparse(value);
  if (!number || *number > UINT32_MAX) return fail(errc::invalid_argument);
  if (key == "size")
    shape.object_size = static_cast<unsigned>(*number);
  else if (key == "align")
    shape.align = static_cast<unsigned>(*number);
  else
    return fail(errc::invalid_argument);
  return {};
}

struct objects_wanted {
  std::string_view name;
  std::uint64_t count = 1;
  unsigned cpu = 0;
  int nid = -1;
};

// "NAME [COUNT] [cpu=N] [node=N]".
result<objects_wanted> parse_objects(std::string_view data) {
  const auto words = words_of(data);
  if (words.empty()) return fail(errc::invalid_argument);
  objects_wanted wanted{.name = words[0]};
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const auto equals = word.find('=');
    const bool keyed = equals != std::string_view::npos;
    const auto number = kstrtoull(keyed ? word.substr(equals + 1) : word);
    if (!number) return fail(number.error());
    if (!keyed && i == 1)
      wanted.count = *number;
    else if (word.starts_with("cpu=") && *number < INT32_MAX)
      wanted.cpu = static_cast<unsigned>(*number);
    else if (word.starts_with("node=") && *number < INT32_MAX)
      wanted.nid = static_cast<int>(*number);
    else
      return fail(errc::invalid_argument);
  }
  return wanted;
}

// --- files -----------------------------------------------------------------------------

result<std::size_t> written(const result<>& done, std::string_view data) {
  if (!done) return fail(done.error());
  return data.size();
}

result<std::size_t> create_store(kobject& object, std::string_view data, task&) {
  const auto words = words_of(data);
  if (words.empty()) return fail(errc::invalid_argument);
  cache_shape shape;
  for (std::size_t i = 1; i < words.size(); ++i)
    if (auto ok = parse_shape_word(shape, words[i]); !ok) return fail(ok.error());
  return written(to_files(object).create(words[0], shape), data);
}

result<std::size_t> memcg_store(kobject& object, std::string_view data, task&) {
  const auto words = words_of(data);
  if (words.size() != 2) return fail(errc::invalid_argument);
  const auto cgroup = kstrtoull(words[1]);
  if (!cgroup) return fail(cgroup.error());
  if (*cgroup > UINT32_MAX) return fail(errc::result_out_of_range);
  slab_allocator& slab = *to_files(object).k.slab;
  const cache_ref root = slab.find(words[0]);
  if (!root) return fail(errc::no_such_file_or_directory);
  const auto child = slab.memcg_create_kmem_cache(root, static_cast<unsigned>(*cgroup));
  if (!child) return fail(child.error());
  return data.size();
}

result<std::size_t> alloc_store(kobject& object, std::string_view data, task&) {
  const auto wanted = parse_objects(data);
  if (!wanted) return fail(wanted.error());
  return written(
      to_files(object).alloc(wanted->name, wanted->count, wanted->cpu, wanted->nid),
      data);
}

result<std::size_t> free_store(kobject& object, std::string_view data, task&) {
  const auto wanted = parse_objects(data);
  if (!wanted) return fail(wanted.error());
  return written(to_files(object).free(wanted->name, wanted->count), data);
}

result<std::size_t> destroy_store(kobject& object, std::string_view data, task&) {
  return written(to_files(object).destroy(written_word(data)), data);
}

template <auto Torture>
result<std::size_t> torture_store(kobject& object, std::string_view data, task& by) {
  const auto rounds = kstrtoull(data);
  if (!rounds) return fail(rounds.error());
  return written(Torture(to_files(object).k, *rounds, by), data);
}

constexpr attribute command(std::string_view name,
                            result<std::size_t> (*store)(kobject&, std::string_view,
                                                         task&)) {
  return {.name = name, .mode = 0200, .store = store, .store_sleeps = true};
}

constexpr std::array slab_debug_attrs = {
    command("kmem_cache_create", create_store),
    command("kmem_cache_memcg", memcg_store),
    command("kmem_cache_alloc", alloc_store),
    command("kmem_cache_free", free_store),
    command("kmem_cache_destroy", destroy_store),
    command("torture_onoff", torture_store<torture_onoff>),
    command("torture_stats", torture_store<torture_stats>),
};

}  // namespace

slab_debug_files::slab_debug_files(kernel& kern) : k{kern} {
  const kernfs_ref dir = k.sysfs.make_path("kernel/debug/memhp");
  for (const attribute& attr : slab_debug_attrs)
    (void)k.sysfs.create_file(*dir, attr, *this);
}

result<> slab_debug_files::create(std::string_view name, const cache_shape& shape) {
  const auto made = k.slab->kmem_cache_create(name, shape);
  if (!made) return fail(made.error());
  guard hold{lock_};
  // Its predecessor of that name is gone from the allocator's list, or this would have
  // failed; here it may be on its way out still.
  caches_.insert_or_assign(std::string{name}, made_cache{.cache = *made, .objects = {}});
  return {};
}

result<> slab_debug_files::alloc(std::string_view name, std::uint64_t count, unsigned cpu,
                                 int nid) {
  if (cpu >= k.cpus.nr_cpu_ids() || (nid >= 0 && !k.node_possible(nid)))
    return fail(errc::invalid_argument);
  guard hold{lock_};
  const auto at = caches_.find(name);
  if (at == caches_.end() || at->second.dying)
    return fail(errc::no_such_file_or_directory);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto object = at->second.cache->alloc(cpu, nid);
    if (!object) return fail(object.error());
    at->second.objects.push_back(*object);
  }
  return {};
}

result<> slab_debug_files::free(std::string_view name, std::uint64_t count) {
  guard hold{lock_};
  const auto at = caches_.find(name);
  if (at == caches_.end()) return fail(errc::no_such_file_or_directory);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (at->second.objects.empty()) return fail(errc::invalid_argument);
    if (auto ok = at->second.cache->free(at->second.objects.front()); !ok) return ok;
    at->second.objects.pop_front();
  }
  return {};
}

result<> slab_debug_files::destroy(std::string_view name) {
  cache_ref cache;
  {
    guard hold{lock_};
    const auto at = caches_.find(name);
    if (at == caches_.end() || at->second.dying)
      return fail(errc::no_such_file_or_directory);
    // Nobody may allocate from a cache that is being destroyed.
    at->second.dying = true;
    cache = at->second.cache;
  }
  auto done = k.slab->kmem_cache_destroy(cache);
  guard hold{lock_};
  const auto at = caches_.find(name);
  if (at == caches_.end() || at->second.cache != cache) return done;
  if (done)
    caches_.erase(at);
  else
    at->second.dying = false;
  return done;
}

// Not inlined, nor torture_stats(): lock reports show them, as the kernel's do.
[[gnu::noinline]] result<> torture_onoff(kernel& k, std::uint64_t rounds, task& by) {
  const unsigned cpus = k.cpus.nr_cpu_ids();
  if (cpus < 2) return fail(errc::no_such_device);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    if (by.signal_pending()) return fail(errc::interrupted);
    const auto cpu = static_cast<unsigned>(1 + i % (cpus - 1));
    if (auto ok = remove_cpu(k, cpu); !ok) return ok;
    if (auto ok = add_cpu(k, cpu); !ok) return ok;
  }
  return {};
}

[[gnu::noinline]] result<> torture_stats(kernel& k, std::uint64_t rounds, task& by) {
  for (std::uint64_t i = 0; i < rounds; ++i) {
    if (by.signal_pending()) return fail(errc::interrupted);
    // A name of its own each time: the last one may be in use until its work has run.
    const auto made = k.slab->kmem_cache_create(
        fmt::format("rcu_torture-{}", k.slab_debug->tortures_++),
        {.object_size = 256, .flags = slab_store_user});
    if (!made) return fail(made.error());
    const auto object = (*made)->alloc(0);
    if (object) (void)(*made)->free(*object);
    if (auto ok = k.slab->kmem_cache_destroy(*made); !ok) return ok;
    if (!object) return fail(object.error());
  }
  return {};
}

}  // namespace memhp
