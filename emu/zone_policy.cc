#include "emu/zone_policy.h"

namespace memhp {
namespace {

// The DMA zone that the block touches, else Normal.
zone& default_kernel_zone(kernel& k, const memory_block& block) {
  pglist_data& node = *k.nodes[static_cast<std::size_t>(block.nid)];
  for (const zone_type type : {zone_type::dma, zone_type::dma32})
    if (node.of(type).intersects(block.range)) return node.of(type);
  return node.of(zone_type::normal);
}

// contig-zones: stay with the zone the block lies inside of.
zone& contig_zone(kernel& k, const memory_block& block) {
  zone& kernel_zone = default_kernel_zone(k, block);
  zone& movable = k.nodes[static_cast<std::size_t>(block.nid)]->of(zone_type::movable);
  const bool in_kernel = kernel_zone.intersects(block.range);
  const bool in_movable = movable.intersects(block.range);
  if (in_kernel != in_movable) return in_kernel ? kernel_zone : movable;
  return k.config.movable_node ? movable : kernel_zone;
}

struct movable_share {
  std::uint64_t early_kernel = 0;  // pages of boot memory in kernel zones
  std::uint64_t movable = 0;
};

void add_node(movable_share& share, const pglist_data& node) {
  for (const zone& z : node.zones) {
    if (z.type == zone_type::movable)
      share.movable += z.pages().present;
    else
      share.early_kernel += z.pages().early;
  }
}

bool fits(const movable_share& share, std::uint64_t pages, unsigned ratio) {
  return share.movable + pages <= ratio * share.early_kernel / 100;
}

// auto-movable: Movable as long as the ratio of movable to boot memory allows it. A
// static group (a DIMM) is judged as a whole: it must be able to leave as a whole.
bool auto_movable_allows(kernel& k, const memory_block& block) {
  const unsigned ratio = k.parameters.auto_movable_ratio;
  if (ratio == 0) return false;
  if (block.group && block.group->present_kernel_pages != 0) return false;
  const std::uint64_t need =
      block.group ? block.group->max_pages - block.group->present_movable_pages
                  : block.range.nr_pages();

  movable_share all;
  for (const auto& node : k.nodes) add_node(all, *node);
  if (!fits(all, need, ratio)) return false;
  if (!k.parameters.auto_movable_numa_aware) return true;
  movable_share own;
  add_node(own, *k.nodes[static_cast<std::size_t>(block.nid)]);
  return fits(own, need, ratio);
}

}  // namespace

zone& zone_for_pfn_range(kernel& k, online_type type, const memory_block& block) {
  zone& movable = k.nodes[static_cast<std::size_t>(block.nid)]->of(zone_type::movable);
  if (type == online_type::online_kernel) return default_kernel_zone(k, block);
  if (type == online_type::online_movable) return movable;
  if (k.parameters.policy == online_policy::auto_movable)
    return auto_movable_allows(k, block) ? movable : default_kernel_zone(k, block);
  return contig_zone(k, block);
}

}  // namespace memhp
