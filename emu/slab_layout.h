// How objects lie in a slab: their distance with everything that debugging adds, and how
// many pages a slab has.
//
// Pure. Mirrors calculate_sizes() and calculate_order() (mm/slub.c, 6.1, 64 bit).
#pragma once

#include <cstdint>
#include <string_view>

#include "blocks/result.h"

namespace memhp {

// SLAB_*: what a cache was created with.
using slab_flags = std::uint32_t;
inline constexpr slab_flags slab_consistency_checks = 0x100;
inline constexpr slab_flags slab_red_zone = 0x400;
inline constexpr slab_flags slab_poison = 0x800;
inline constexpr slab_flags slab_hwcache_align = 0x2000;
inline constexpr slab_flags slab_cache_dma = 0x4000;
inline constexpr slab_flags slab_store_user = 0x10000;
inline constexpr slab_flags slab_reclaim_account = 0x20000;
inline constexpr slab_flags slab_typesafe_by_rcu = 0x80000;
inline constexpr slab_flags slab_trace = 0x200000;
// SLAB_DEBUG_FLAGS: with one of them a cache enables the key of slab debugging.
inline constexpr slab_flags slab_debug_flags =
    slab_consistency_checks | slab_red_zone | slab_poison | slab_store_user | slab_trace;

// What kmem_cache_create() is asked for.
struct cache_shape {
  unsigned object_size = 0;  // bytes
  unsigned align = 0;        // bytes, a power of two; 0: what the size needs
  slab_flags flags = 0;
  bool constructor = false;
};

struct slab_layout {
  unsigned size = 0;    // from one object to the next
  unsigned inuse = 0;   // up to where the caller's data may go
  unsigned offset = 0;  // of the free pointer
  unsigned align = 0;
  unsigned order = 0;  // 2^order pages a slab
  unsigned objects = 0;
  unsigned min_partial = 0;  // slabs a node keeps though empty
  unsigned cpu_partial = 0;  // objects a CPU keeps; 0 when debugging
};

// invalid_argument if the objects are smaller than a pointer or larger than the largest
// run of pages, or `align` is no power of two up to a page.
result<slab_layout> calculate_sizes(const cache_shape& shape, unsigned nr_cpus);

// How many slabs hold `objects`, the half-filled ones of a CPU: cpu_partial_slabs.
unsigned slabs_for(unsigned objects, const slab_layout& layout);

}  // namespace memhp
