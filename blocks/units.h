// Physical addresses, page frames, blocks and ranges as types, so that a page count
// cannot pass for a byte count.
#pragma once

#include <compare>
#include <cstdint>

namespace memhp {

inline constexpr std::uint64_t page_shift = 12;
inline constexpr std::uint64_t page_size = 1ULL << page_shift;
inline constexpr std::uint64_t KiB = 1ULL << 10;
inline constexpr std::uint64_t MiB = 1ULL << 20;
inline constexpr std::uint64_t GiB = 1ULL << 30;
inline constexpr std::uint64_t TiB = 1ULL << 40;

// Number of a page frame: physical address / page_size.
struct pfn {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(pfn, pfn) = default;
  friend constexpr pfn operator+(pfn p, std::uint64_t pages) { return {p.value + pages}; }
  friend constexpr std::uint64_t operator-(pfn a, pfn b) { return a.value - b.value; }
};

// A physical address in bytes.
struct phys_addr {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(phys_addr, phys_addr) = default;
  friend constexpr phys_addr operator+(phys_addr a, std::uint64_t bytes) {
    return {a.value + bytes};
  }
  constexpr pfn frame() const { return {value >> page_shift}; }
};

// Number of a memory block: physical address / block size; the N of memoryN.
struct block_id {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(block_id, block_id) = default;
};

// A page-aligned physical byte range [start, start + size).
struct phys_range {
  phys_addr start;
  std::uint64_t size = 0;  // bytes

  friend constexpr bool operator==(phys_range, phys_range) = default;
  constexpr phys_addr end() const { return start + size; }
  constexpr pfn start_pfn() const { return start.frame(); }
  constexpr pfn end_pfn() const { return end().frame(); }
  constexpr std::uint64_t nr_pages() const { return size >> page_shift; }
  constexpr bool contains(phys_addr a) const { return start <= a && a < end(); }
  constexpr bool overlaps(phys_range o) const {
    return start < o.end() && o.start < end();
  }
};

constexpr bool is_aligned(std::uint64_t value, std::uint64_t power_of_two) {
  return (value & (power_of_two - 1)) == 0;
}
constexpr bool is_power_of_two(std::uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

}  // namespace memhp
