#include "blocks/memmap.h"

#include <sys/mman.h>

#include <cerrno>

#include "locks/guards.h"

namespace memhp {
namespace {

constexpr std::uint64_t smallest_block = page_size / sizeof(page) * page_size;

std::uint32_t bit(page_flag flag) {
  return 1U << static_cast<unsigned>(flag);
}

std::size_t index_of(page_flag flag) {
  return static_cast<std::size_t>(flag);
}

}  // namespace

memmap::memmap(std::uint64_t max_memory, std::uint64_t block_size)
    : max_memory_{max_memory},
      block_size_{block_size},
      pages_per_block_{block_size >> page_shift},
      part_bytes_{pages_per_block_ * sizeof(page)},
      roots_(max_memory / block_size / blocks_per_root + 1) {}

memmap::~memmap() {
  for (const auto& slot : roots_) delete slot.load(std::memory_order_relaxed);
  if (std::byte* const window = window_) {
    munmap(window, max_memory_ / page_size * sizeof(page));
  }
}

bool memmap::valid(phys_range range) const {
  return block_size_ >= smallest_block && range.size > 0 &&
         is_aligned(range.start.value, block_size_) &&
         is_aligned(range.size, block_size_) && range.size <= max_memory_ &&
         range.start.value <= max_memory_ - range.size;
}

memmap::block* memmap::find(std::uint64_t index) const {
  if (index / blocks_per_root >= roots_.size()) return nullptr;
  // A pairs with B in find_or_make(): without it the root's blocks could be seen before
  // they are made.
  root* const blocks = roots_[index / blocks_per_root].load(std::memory_order_acquire);
  return blocks == nullptr ? nullptr : &(*blocks)[index % blocks_per_root];
}

memmap::block& memmap::find_or_make(std::uint64_t index) {
  if (block* const found = find(index)) return *found;
  auto made = std::make_unique<root>();
  block& wanted = (*made)[index % blocks_per_root];
  // B pairs with A in find().
  roots_[index / blocks_per_root].store(made.release(), std::memory_order_release);
  return wanted;
}

result<> memmap::add(phys_range range) {
  if (!valid(range)) return fail(errc::invalid_argument);
  const std::uint64_t first = range.start.value / block_size_;
  const std::uint64_t last = range.end().value / block_size_;
  const guard hold{lock_};
  for (auto index = first; index < last; ++index) {
    const block* const found = find(index);
    if (found != nullptr && found->state.load() != part::absent) {
      return fail(errc::file_exists);
    }
  }
  for (auto index = first; index < last; ++index) {
    find_or_make(index).state = part::accounted;
  }
  bytes_ += (last - first) * part_bytes_;
  return {};
}

void memmap::remove(phys_range range) {
  if (!valid(range)) return;
  const guard hold{lock_};
  for (auto at = range.start; at < range.end(); at = at + block_size_) {
    block* const gone = block_of(at.frame());
    if (gone == nullptr || gone->state == part::absent) continue;
    if (gone->state == part::mapped) {
      auto* const pages = reinterpret_cast<std::byte*>(this->at(at.frame()));
      // Frees the pages and lets a touch of the dead metadata fault.
      madvise(pages, part_bytes_, MADV_DONTNEED);
      mprotect(pages, part_bytes_, PROT_NONE);
      mapped_bytes_ -= part_bytes_;
    }
    gone->state = part::absent;
    for (auto& count : gone->marked) count = 0;
    bytes_ -= part_bytes_;
  }
}

bool memmap::has_memmap(pfn frame) const {
  const block* const found = block_of(frame);
  return found != nullptr && found->state != part::absent;
}

page* memmap::at(pfn frame) const {
  return reinterpret_cast<page*>(window_.load(std::memory_order_acquire)) + frame.value;
}

result<> memmap::map_block(std::uint64_t index, block& to_map) {
  const guard hold{lock_};
  if (to_map.state == part::mapped) return {};
  if (window_ == nullptr) {
    void* const window = mmap(nullptr, max_memory_ / page_size * sizeof(page), PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (window == MAP_FAILED) return fail(errc::not_enough_memory);
    window_.store(static_cast<std::byte*>(window), std::memory_order_release);
  }
  if (mprotect(at({index * pages_per_block_}), part_bytes_, PROT_READ | PROT_WRITE) !=
      0) {
    return fail(errc::not_enough_memory);
  }
  mapped_bytes_ += part_bytes_;
  to_map.state = part::mapped;
  return {};
}

result<page*> memmap::page_of(pfn frame) {
  block* const in = block_of(frame);
  if (in == nullptr || in->state == part::absent) {
    return fail(errc::no_such_device_or_address);
  }
  if (in->state != part::mapped) {
    const auto mapped = map_block(frame.value / pages_per_block_, *in);
    if (!mapped) return fail(mapped.error());
  }
  return at(frame);
}

result<> memmap::set(pfn frame, page_flag flag) {
  const auto found = page_of(frame);
  if (!found) return fail(found.error());
  // Counted before it is marked, and in clear() after: a reader never finds fewer pages
  // counted than marked, and the counter never falls below zero.
  auto& marked = block_of(frame)->marked[index_of(flag)];
  ++marked;
  const auto before = std::atomic_ref{(*found)->flags}.fetch_or(bit(flag));
  if ((before & bit(flag)) != 0) --marked;
  return {};
}

result<> memmap::clear(pfn frame, page_flag flag) {
  if (!test(frame, flag)) {
    return has_memmap(frame) ? result<>{} : fail(errc::no_such_device_or_address);
  }
  const auto before = std::atomic_ref{at(frame)->flags}.fetch_and(~bit(flag));
  if ((before & bit(flag)) != 0) --block_of(frame)->marked[index_of(flag)];
  return {};
}

bool memmap::test(pfn frame, page_flag flag) const {
  const block* const in = block_of(frame);
  // Nothing mapped: nothing marked.
  if (in == nullptr || in->state != part::mapped) return false;
  return (std::atomic_ref{at(frame)->flags}.load() & bit(flag)) != 0;
}

std::uint64_t memmap::count(phys_range range, page_flag flag) const {
  std::uint64_t pages = 0;
  const std::uint64_t last = (range.end().value + block_size_ - 1) / block_size_;
  for (auto index = range.start.value / block_size_; index < last; ++index) {
    const block* const in = find(index);
    if (in != nullptr) pages += in->marked[index_of(flag)];
  }
  return pages;
}

}  // namespace memhp
