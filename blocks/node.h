// A NUMA node as the page allocator sees it: its zones.
//
// Thread safety: the zones synchronize themselves; `online` is written under
// mem_hotplug_lock and may be read by any thread.
//
// Mirrors pg_data_t (include/linux/mmzone.h, 6.1).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "blocks/zone.h"

namespace memhp {

struct pglist_data {
  pglist_data(int nid, std::vector<unsigned> cpus)
      : nid{nid},
        cpus{std::move(cpus)},
        zones{zone{zone_type::dma, nid}, zone{zone_type::dma32, nid},
              zone{zone_type::normal, nid}, zone{zone_type::movable, nid}} {}

  const int nid;
  const std::vector<unsigned> cpus;
  std::array<zone, nr_zone_types> zones;
  std::atomic<bool> online = false;          // has CPUs or memory blocks, and a directory
  std::atomic<std::uint64_t> nr_blocks = 0;  // memory blocks, whatever their state
  std::atomic<std::uint64_t> used_pages = 0;  // of the managed ones
  // Of the used ones, the slab allocator's: NR_SLAB_RECLAIMABLE_B and its opposite.
  std::atomic<std::uint64_t> slab_reclaimable = 0;
  std::atomic<std::uint64_t> slab_unreclaimable = 0;
  std::atomic<std::uint64_t> nr_hugepages = 0;  // free huge pages in the node's pool

  zone& of(zone_type type) { return zones[static_cast<std::size_t>(type)]; }

  // node_present_pages() and the managed pages of all zones.
  std::uint64_t present_pages() const { return sum(&zone::counters::present); }
  std::uint64_t managed_pages() const { return sum(&zone::counters::managed); }
  // N_MEMORY and N_NORMAL_MEMORY.
  bool has_memory() const { return present_pages() != 0; }
  bool has_normal_memory() const {
    for (const zone& z : zones)
      if (z.type != zone_type::movable && z.pages().present != 0) return true;
    return false;
  }

 private:
  std::uint64_t sum(std::uint64_t zone::counters::* field) const {
    std::uint64_t total = 0;
    for (const zone& z : zones) total += z.pages().*field;
    return total;
  }
};

}  // namespace memhp
