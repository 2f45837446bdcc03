#include "emu/kmem_cache.h"

#include <algorithm>
#include <utility>

#include "emu/kernel.h"
#include "emu/slab.h"
#include "locks/guards.h"

namespace memhp {
namespace {

std::unique_ptr<slab> make_slab(slab_pages::run pages, unsigned objects) {
  auto made = std::make_unique<slab>();
  made->pages = pages;
  made->used.assign(objects, false);
  for (unsigned i = objects; i-- > 0;) made->freelist.push_back(i);
  return made;
}

}  // namespace

kmem_cache::kmem_cache(kernel& kern, std::string called, const cache_shape& asked,
                       const slab_layout& calculated)
    : k{kern},
      name{std::move(called)},
      shape{asked},
      layout{calculated},
      min_partial{"s->min_partial", layout.min_partial},
      cpu_partial{"s->cpu_partial", layout.cpu_partial},
      nodes_{new kmem_cache_node[k.nodes.size()]},
      cpus_{new kmem_cache_cpu[k.cpus.nr_cpu_ids()]} {}

kmem_cache::~kmem_cache() = default;

// Code runs on CPUs that are online only.
unsigned kmem_cache::this_cpu(unsigned wanted) const {
  if (k.cpus.cpu_online(wanted)) return wanted;
  const auto online = k.cpus.online_cpus();
  return online[wanted % online.size()];
}

result<phys_addr> kmem_cache::alloc(unsigned wanted, int nid) {
  for (;;) {
    const unsigned cpu = this_cpu(wanted);
    kmem_cache_cpu& c = cpus_[cpu];
    guard hold{c.lock};
    // A CPU leaves the mask first and is flushed second, under this lock: whoever finds
    // it online here is seen by the flush.
    if (!k.cpus.cpu_online(cpu)) continue;
    const bool anywhere = nid < 0 || !node(nid).present;
    return alloc_on(c, anywhere ? k.slab->node_of_cpu(cpu) : nid, anywhere);
  }
}

result<phys_addr> kmem_cache::alloc_on(kmem_cache_cpu& c, int nid, bool anywhere) {
  for (;;) {
    if (c.active == nullptr || (!anywhere && c.active->pages.nid != nid)) {
      slab* const old = std::exchange(c.active, nullptr);
      if (old != nullptr) deactivate(*old);
      if (auto ok = new_slab_for(c, nid, anywhere); !ok) return fail(ok.error());
    }
    slab& from = *c.active;
    bool full = false;
    phys_addr object{};
    {
      kmem_cache_node& n = node(from.pages.nid);
      guard hold{n.list_lock};
      full = from.freelist.empty();
      if (!full) {
        const std::uint32_t index = from.freelist.back();
        from.freelist.pop_back();
        from.used[index] = true;
        object = phys_addr{from.pages.first.value << page_shift} +
                 std::uint64_t{index} * layout.size;
      }
    }
    // A cache that is debugged keeps no slab on a CPU; a full one is of no use there.
    if (full || debug()) {
      c.active = nullptr;
      deactivate(from);
    }
    if (!full) return object;
  }
}

result<> kmem_cache::new_slab_for(kmem_cache_cpu& c, int nid, bool anywhere) {
  const auto kept = std::ranges::find_if(
      c.partial, [&](const slab* s) { return anywhere || s->pages.nid == nid; });
  if (kept != c.partial.end()) {
    c.active = *kept;
    c.partial.erase(kept);
    return {};
  }
  if (get_partial_node(c, node(nid))) return {};
  if (anywhere)  // get_any_partial()
    for (std::size_t other = 0; other < k.nodes.size(); ++other)
      if (get_partial_node(c, nodes_[other])) return {};
  const bool dma = (shape.flags & slab_cache_dma) != 0;
  const auto pages = k.slab->pages.alloc(nid, layout.order, dma);
  if (!pages) return fail(pages.error());
  auto made = make_slab(*pages, layout.objects);
  c.active = made.get();
  k.slab->account(shape.flags, pages->nid, layout.order, true);
  kmem_cache_node& n = node(pages->nid);
  guard hold{n.list_lock};
  n.slabs.emplace(pages->first, std::move(made));
  return {};
}

// Takes a partial slab of the node for the CPU, and some more to keep.
bool kmem_cache::get_partial_node(kmem_cache_cpu& c, kmem_cache_node& n) {
  const unsigned keep = slabs_for(cpu_partial, layout) / 2;
  guard hold{n.list_lock};
  while (!n.partial.empty()) {
    slab* const s = n.partial.front();
    n.partial.pop_front();
    s->partial = false;
    s->frozen = true;
    if (c.active == nullptr)
      c.active = s;
    else
      c.partial.push_back(s);
    if (c.partial.size() >= keep) break;
  }
  return c.active != nullptr;
}

// deactivate_slab(): no CPU's any more. The caller holds the lock of the CPU that it was
// taken from.
void kmem_cache::deactivate(slab& s) {
  kmem_cache_node& n = node(s.pages.nid);
  std::unique_ptr<slab> empty;
  {
    guard hold{n.list_lock};
    s.frozen = false;
    if (s.inuse() == 0 && n.partial.size() >= min_partial) {
      empty = std::move(n.slabs.at(s.pages.first));
      n.slabs.erase(s.pages.first);
    } else if (!s.freelist.empty()) {
      s.partial = true;
      n.partial.push_back(&s);
    }
  }
  if (empty) discard_slab(std::move(empty));
}

void kmem_cache::discard_slab(std::unique_ptr<slab> s) {
  k.slab->account(shape.flags, s->pages.nid, layout.order, false);
  k.slab->pages.free(s->pages, layout.order);
}

result<> kmem_cache::free(phys_addr object) {
  std::unique_ptr<slab> empty;
  for (std::size_t nid = 0; nid < k.nodes.size(); ++nid) {
    kmem_cache_node& n = nodes_[nid];
    guard hold{n.list_lock};
    auto at = n.slabs.upper_bound(object.frame());
    if (at == n.slabs.begin()) continue;
    slab& s = *(--at)->second;
    const std::uint64_t offset = object.value - (s.pages.first.value << page_shift);
    const std::uint64_t index = offset / layout.size;
    if (index >= s.used.size()) continue;
    if (offset % layout.size != 0 || !s.used[index]) return fail(errc::invalid_argument);
    s.used[index] = false;
    s.freelist.push_back(static_cast<std::uint32_t>(index));
    if (s.frozen) return {};
    if (s.inuse() != 0 || n.partial.size() < min_partial + (s.partial ? 1 : 0)) {
      if (!s.partial) n.partial.push_back(&s);
      s.partial = true;
      return {};
    }
    std::erase(n.partial, &s);
    empty = std::move(at->second);
    n.slabs.erase(at);
    break;
  }
  if (!empty) return fail(errc::invalid_argument);
  discard_slab(std::move(empty));
  return {};
}

void kmem_cache::flush_cpu_slab(unsigned cpu) {
  kmem_cache_cpu& c = cpus_[cpu];
  guard hold{c.lock};
  if (slab* const active = std::exchange(c.active, nullptr)) deactivate(*active);
  for (slab* const kept : std::exchange(c.partial, {})) deactivate(*kept);
}

void kmem_cache::flush_every_cpu() {
  for (unsigned cpu = 0; cpu < k.cpus.nr_cpu_ids(); ++cpu) flush_cpu_slab(cpu);
}

void kmem_cache::do_shrink() {
  for (std::size_t nid = 0; nid < k.nodes.size(); ++nid) {
    kmem_cache_node& n = nodes_[nid];
    std::vector<std::unique_ptr<slab>> empty;
    {
      guard hold{n.list_lock};
      std::erase_if(n.partial, [](const slab* s) { return s->inuse() == 0; });
      std::ranges::sort(n.partial, std::ranges::greater{}, &slab::inuse);
      for (auto at = n.slabs.begin(); at != n.slabs.end();) {
        const bool gone = !at->second->frozen && at->second->inuse() == 0;
        if (gone) empty.push_back(std::move(at->second));
        at = gone ? n.slabs.erase(at) : std::next(at);
      }
    }
    for (auto& s : empty) discard_slab(std::move(s));
  }
}

// --- what the files show ---------------------------------------------------------------

counts kmem_cache::count_slabs(std::uint64_t (*of)(const slab&)) const {
  counts found;
  for (unsigned nid = 0; nid < k.nodes.size(); ++nid) {
    const kmem_cache_node& n = nodes_[nid];
    guard hold{n.list_lock};
    std::uint64_t sum = 0;
    for (const auto& [first, s] : n.slabs) sum += of(*s);
    if (sum != 0) found[nid] = sum;
  }
  return found;
}

counts kmem_cache::objects_by_node() const {
  return count_slabs([](const slab& s) -> std::uint64_t { return s.inuse(); });
}
counts kmem_cache::partial_objects_by_node() const {
  return count_slabs([](const slab& s) { return s.partial ? s.inuse() : 0; });
}
counts kmem_cache::total_objects_by_node() const {
  return count_slabs([](const slab& s) -> std::uint64_t { return s.used.size(); });
}
counts kmem_cache::slabs_by_node() const {
  return count_slabs([](const slab&) -> std::uint64_t { return 1; });
}
counts kmem_cache::partial_slabs_by_node() const {
  return count_slabs([](const slab& s) -> std::uint64_t { return s.partial ? 1 : 0; });
}
counts kmem_cache::cpu_slabs_by_node() const {
  return count_slabs([](const slab& s) -> std::uint64_t { return s.frozen ? 1 : 0; });
}

counts kmem_cache::cpu_partial_slabs_by_cpu() const {
  counts found;
  for (unsigned cpu = 0; cpu < k.cpus.nr_cpu_ids(); ++cpu) {
    const kmem_cache_cpu& c = cpus_[cpu];
    guard hold{c.lock};
    if (!c.partial.empty()) found[cpu] = c.partial.size();
  }
  return found;
}

std::size_t kmem_cache::validate() const {
  std::size_t wrong = 0;
  for (std::size_t nid = 0; nid < k.nodes.size(); ++nid) {
    const kmem_cache_node& n = nodes_[nid];
    guard hold{n.list_lock};
    std::size_t partial = 0;
    for (const auto& [first, s] : n.slabs) {
      partial += s->partial ? 1 : 0;
      const auto used = static_cast<std::size_t>(std::ranges::count(s->used, true));
      const bool listed = !s->frozen && !s->freelist.empty();
      if (used != s->inuse() || s->partial != listed) ++wrong;
    }
    if (partial != n.partial.size()) ++wrong;
  }
  return wrong;
}

}  // namespace memhp
