#include "emu/slab_pages.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "emu/kernel.h"
#include "emu/memory_device.h"
#include "locks/guards.h"

namespace memhp {
namespace {

constexpr phys_addr bios_end{1 * MiB};  // nothing below is given out
constexpr phys_addr dma_end{16 * MiB};

// Where in the block pages may be taken: not in its own memmap, the BIOS, or the hole at
// the end of low memory.
phys_range usable_part(const memory_block& block, bool dma) {
  phys_addr start = block.range.start + (block.vmemmap_pages << page_shift);
  phys_addr end = block.range.end();
  if (block.range.start == phys_addr{0})
    start = std::min(std::max(start, bios_end), end);
  else
    end = {end.value - (block.hole_pages << page_shift)};
  if (dma) end = std::max(start, std::min(end, dma_end));
  return {start, end.value - start.value};
}

// Boot blocks that lie in several zones have none that manages them; none of these is
// Movable.
bool is_movable(const memory_block& block) {
  const zone* managing = block.managing_zone();
  return managing != nullptr && managing->type == zone_type::movable;
}

// The wanted node and then the others, nearest first.
std::vector<int> zonelist(const kernel& k, int nid) {
  std::vector<int> order;
  order.reserve(k.nodes.size());
  for (const auto& node : k.nodes) order.push_back(node->nid);
  std::ranges::sort(order, {}, [&](int to) {
    return std::pair{to == nid ? 0 : k.topology.distance(nid, to), to};
  });
  return order;
}

constexpr std::array unusable = {page_flag::reserved, page_flag::pinned, page_flag::slab};

}  // namespace

result<slab_pages::run> slab_pages::alloc(int nid, unsigned order, bool dma) {
  for (const int from : zonelist(k_, nid)) {
    const auto first = alloc_in_node(from, order, dma);
    if (!first) continue;
    k_.nodes[static_cast<std::size_t>(from)]->used_pages += std::uint64_t{1} << order;
    return run{.first = *first, .nid = from};
  }
  return fail(errc::not_enough_memory);
}

result<pfn> slab_pages::alloc_in_node(int nid, unsigned order, bool dma) {
  read_guard blocks{k_.memory_blocks_lock};
  for (const auto& [id, device] : k_.memory_blocks) {
    const memory_block& block = device->block;
    if (block.nid != nid || block.state() != block_state::online || is_movable(block))
      continue;
    const phys_range within = usable_part(block, dma);
    if (within.nr_pages() == 0) continue;
    if (auto found = alloc_in_block(block, within, order)) return found;
  }
  return fail(errc::not_enough_memory);
}

result<pfn> slab_pages::alloc_in_block(const memory_block& block, phys_range within,
                                       unsigned order) {
  const std::uint64_t pages = std::uint64_t{1} << order;
  guard hold{lock_};
  pfn& hint = first_free_[block.id];
  const pfn begin = std::max(within.start_pfn(), hint);
  for (pfn at{(begin.value + pages - 1) / pages * pages};
       at.value + pages <= within.end_pfn().value; at = at + pages) {
    if (!take(block, at, pages)) continue;
    if (order == 0) hint = at + 1;
    return at;
  }
  return fail(errc::not_enough_memory);
}

// Marks the pages and looks at the state of their block afterwards, while offlining
// changes the state first and counts the marks second: one of the two sees the other.
bool slab_pages::take(const memory_block& block, pfn first, std::uint64_t pages) {
  for (std::uint64_t i = 0; i < pages; ++i)
    for (const page_flag flag : unusable)
      if (k_.pages.test(first + i, flag)) return false;
  for (std::uint64_t i = 0; i < pages; ++i)
    if (!k_.pages.set(first + i, page_flag::slab)) {
      give_back(first, i);
      return false;
    }
  if (block.state() == block_state::online) return true;
  give_back(first, pages);
  return false;
}

void slab_pages::give_back(pfn first, std::uint64_t pages) {
  for (std::uint64_t i = 0; i < pages; ++i)
    (void)k_.pages.clear(first + i, page_flag::slab);
}

void slab_pages::free(run pages, unsigned order) {
  const std::uint64_t count = std::uint64_t{1} << order;
  k_.nodes[static_cast<std::size_t>(pages.nid)]->used_pages -= count;
  guard hold{lock_};
  give_back(pages.first, count);
  pfn& hint = first_free_[k_.block_of({pages.first.value << page_shift})];
  hint = std::min(hint, pages.first);
}

}  // namespace memhp
