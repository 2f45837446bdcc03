// Where the slab allocator's pages come from: blocks of the machine that are online, in
// zones for what cannot be moved.
//
// The lowest block that has room is taken, first on the wanted node and then on the
// others by distance. memory0 cannot go offline anyway, so this keeps the rest free of
// unmovable pages for as long as possible, which is what the kernel's grouping of pages
// by mobility is for.
//
// Thread safety: any thread. Locks: memory_blocks_lock to read, and inside it a lock of
// its own, as zone->lock innermost.
//
// Mirrors alloc_slab_page() (mm/slub.c) over the page allocator's zone lists (6.1).
#pragma once

#include <map>

#include "blocks/memory_block.h"
#include "blocks/result.h"
#include "blocks/units.h"
#include "locks/tracked.h"

namespace memhp {

struct kernel;

class slab_pages {
 public:
  explicit slab_pages(kernel& k) : k_{k} {}

  // 2^order pages, aligned to their size, marked page_flag::slab: their block cannot go
  // offline. `nid` and `dma` say where to look first and whether only zone DMA will do.
  // not_enough_memory if no block that is online has room.
  struct run {
    pfn first;
    int nid = 0;
  };
  result<run> alloc(int nid, unsigned order, bool dma);
  void free(run pages, unsigned order);

 private:
  result<pfn> alloc_in_node(int nid, unsigned order, bool dma);
  result<pfn> alloc_in_block(const memory_block& block, phys_range within,
                             unsigned order);
  bool take(const memory_block& block, pfn first, std::uint64_t pages);
  void give_back(pfn first, std::uint64_t pages);

  kernel& k_;
  static constexpr lock_class_key lock_key{.name = "&zone->lock"};
  tracked_mutex lock_{lock_key};
  // Below it a block has no room for one page: where the search begins.
  std::map<block_id, pfn> first_free_ GUARDED_BY(lock_);
};

}  // namespace memhp
