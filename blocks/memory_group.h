// Blocks that belong to one device and come and go together, such as a DIMM's.
//
// Thread safety: the counters may be read by any thread; they change under
// mem_hotplug_lock.
//
// Mirrors struct memory_group, static kind (include/linux/memory.h, 6.1).
#pragma once

#include <atomic>
#include <cstdint>

namespace memhp {

struct memory_group {
  memory_group(int nid, std::uint64_t max_pages) : nid{nid}, max_pages{max_pages} {}

  const int nid;
  const std::uint64_t max_pages;  // of the whole device
  // MHP_MEMMAP_ON_MEMORY: what adds it allows a block to hold its own memmap. Set before
  // the memory is added.
  bool may_host_memmap = false;
  std::atomic<std::uint64_t> present_kernel_pages = 0;
  std::atomic<std::uint64_t> present_movable_pages = 0;
};

}  // namespace memhp
