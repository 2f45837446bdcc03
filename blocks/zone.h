// A zone of one node: which page frames it spans, and how many of them are there.
//
// Thread safety: every member function may be called by any thread; the zone's own lock
// (zone->lock, innermost) makes each call atomic. add() and remove() additionally want
// mem_hotplug_lock held to write, which the caller asserts: the counters of several
// zones and of the node must change together. A caller without it says so, and gets what
// the kernel's `zone->present_pages += n` is without a lock: two steps, between which
// somebody else's update is lost.
//
// Mirrors struct zone (include/linux/mmzone.h), resize_zone_range() and
// shrink_zone_span() (mm/memory_hotplug.c, 6.1).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string_view>

#include "blocks/units.h"
#include "locks/tracked.h"

namespace memhp {

enum class zone_type : std::uint8_t { dma, dma32, normal, movable };
inline constexpr std::size_t nr_zone_types = 4;
inline constexpr std::array zone_types = {zone_type::dma, zone_type::dma32,
                                          zone_type::normal, zone_type::movable};

constexpr std::string_view to_string(zone_type type) {
  constexpr std::array<std::string_view, nr_zone_types> names = {"DMA", "DMA32", "Normal",
                                                                 "Movable"};
  return names[static_cast<std::size_t>(type)];
}

class zone {
 public:
  zone(zone_type type, int nid) : type{type}, nid{nid} {}
  zone(const zone&) = delete;
  zone& operator=(const zone&) = delete;

  const zone_type type;
  const int nid;

  // [start_pfn, end_pfn) from the first to the last page frame, holes included.
  struct span {
    pfn start;
    pfn end;
    constexpr std::uint64_t pages() const { return end - start; }
  };
  struct counters {
    std::uint64_t spanned = 0;
    std::uint64_t present = 0;  // page frames with memory
    std::uint64_t managed = 0;  // of those, given to the page allocator
    std::uint64_t early = 0;    // of the present ones, there since boot
  };

  // What is special about a range that joins the zone.
  struct traits {
    std::uint64_t holes = 0;      // frames without memory
    std::uint64_t unmanaged = 0;  // frames never allocated: a memmap that lives there
    bool early = false;           // boot memory
  };
  // Whether the caller holds mem_hotplug_lock to write.
  enum class caller : bool { is_alone, may_race };
  // Puts a range into the zone: spans grow.
  void add(phys_range range, traits what, caller by = caller::is_alone);
  // Takes out a range that was added whole; spans shrink to what is left.
  void remove(phys_range range, caller by = caller::is_alone);

  span extent() const;
  counters pages() const;
  // zone_intersects(): whether the range touches the span.
  bool intersects(phys_range range) const;

 private:
  struct part {
    std::uint64_t pages;
    traits what;
  };

  span extent_locked() const REQUIRES(lock_);
  counters read_counters() const;

  static constexpr lock_class_key lock_key{.name = "zone->lock"};
  mutable tracked_mutex lock_{lock_key};
  std::map<pfn, part> parts_ GUARDED_BY(lock_);  // disjoint, by first frame
  counters counters_ GUARDED_BY(lock_);
};

}  // namespace memhp
