// The memmap: a struct page for every page frame of memory that was added, at
// window + pfn, as the kernel's vmemmap (mm/sparse-vmemmap.c).
//
// A block's part is accounted when the block is added and freed when it is removed. It
// costs the host nothing until a page of the block is marked: free pages are zero bits,
// and even the window is reserved at the first mark only, so that a machine without
// memory is built in microseconds.
//
// What offlining asks, the number of pages of a kind in a block, is counted per block
// when a page is marked: no walk over 32768 pages.
//
// Thread safety: every member may be called by any thread. add() and remove() of one
// block are the caller's to serialize with everything else on that block (the kernel
// model holds mem_hotplug_lock to write). Flags and the counters of a block
// are atomic; a reader sees each one current but no consistent cut through several.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "blocks/page.h"
#include "blocks/result.h"
#include "blocks/units.h"
#include "locks/thread_annotations.h"
#include "locks/tracked.h"

namespace memhp {

class memmap {
 public:
  // For physical addresses below `max_memory` in blocks of `block_size` bytes, a power of
  // two of at least 256 KiB (one host page of metadata).
  memmap(std::uint64_t max_memory, std::uint64_t block_size);
  ~memmap();
  memmap(const memmap&) = delete;
  memmap& operator=(const memmap&) = delete;

  // The blocks of `range` have a memmap from now on, every page of them free.
  // invalid_argument if they are not whole blocks below max_memory, file_exists if one
  // has a memmap.
  result<> add(phys_range range);
  // Blocks that have none are left out.
  void remove(phys_range range);
  bool has_memmap(pfn frame) const;

  // Marking a page: no_such_device_or_address if its block has no memmap,
  // not_enough_memory if the host has none for the metadata.
  result<> set(pfn frame, page_flag flag);
  result<> clear(pfn frame, page_flag flag);
  bool test(pfn frame, page_flag flag) const;

  // Pages of `range`, taken as whole blocks, that are marked.
  std::uint64_t count(phys_range range, page_flag flag) const;
  bool has_unmovable(phys_range range) const {
    return count(range, page_flag::reserved) != 0 || count(range, page_flag::slab) != 0;
  }

  // Metadata of all memory that was added, in bytes: 64 for a page frame.
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  // What the host holds of it: the parts that were ever marked.
  std::uint64_t mapped_bytes() const {
    return mapped_bytes_.load(std::memory_order_relaxed);
  }

 private:
  enum class part : std::uint8_t {
    absent,
    accounted,  // all pages free, nothing mapped
    mapped,     // readable and writable
  };
  struct block {
    std::atomic<part> state = part::absent;
    std::array<std::atomic<std::uint32_t>, nr_page_flags> marked = {};
  };
  // Blocks live in chunks made when the first of them is added (the kernel's
  // mem_section roots, SPARSEMEM_EXTREME): a machine pays for the memory that it has
  // and not for its address space.
  static constexpr std::size_t blocks_per_root = 256;
  using root = std::array<block, blocks_per_root>;

  bool valid(phys_range range) const;
  // Null if no block of its root was ever added.
  block* find(std::uint64_t index) const;
  block& find_or_make(std::uint64_t index) REQUIRES(lock_);
  block* block_of(pfn frame) const { return find(frame.value / pages_per_block_); }
  // The struct page of a frame, mapped on demand.
  result<page*> page_of(pfn frame);
  result<> map_block(std::uint64_t index, block& to_map);
  page* at(pfn frame) const;

  // Constant after construction.
  const std::uint64_t max_memory_;
  const std::uint64_t block_size_;
  const std::uint64_t pages_per_block_;
  const std::uint64_t part_bytes_;  // metadata of a block

  // Synchronize themselves.
  std::vector<std::atomic<root*>> roots_;     // owned; written under lock_
  std::atomic<std::byte*> window_ = nullptr;  // written under lock_, once
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<std::uint64_t> mapped_bytes_ = 0;

  // Serializes making roots and mapping parts.
  static constexpr lock_class_key lock_key{.name = "memmap"};
  mutable tracked_mutex lock_{lock_key};
};

}  // namespace memhp
