// The figures that a machine keeps about itself: plain lock-free counters in one
// standard-layout struct, so that they can live in memory shared with other processes
// and be read while the machine is stuck and after it died.
//
// Thread safety: every counter synchronizes itself; a reader sees each one current but
// no consistent cut through several.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace memhp {

inline constexpr std::size_t max_nodes = 64;

// First index of `blocks`; the order of the zones in the kernel, then blocks that no
// single zone manages (offline ones, and boot blocks that span zones).
inline constexpr std::array stats_zone_names = {"DMA", "DMA32", "Normal", "Movable",
                                                "none"};
inline constexpr std::array stats_state_names = {"offline", "online", "going-offline"};

// System calls on the tree that are counted.
enum class stats_op : std::uint8_t { lookup, getattr, readdir, open, read, write, other };
inline constexpr std::array stats_op_names = {"lookup", "getattr", "readdir", "open",
                                              "read",   "write",   "other"};

struct machine_stats {
  using counter = std::atomic<std::uint64_t>;
  static_assert(counter::is_always_lock_free);
  static constexpr std::uint64_t magic_value = 0x6d656d6870'0002;  // "memhp", layout 2
  static constexpr std::size_t max_errno = 256;

  // Written once before the machine runs.
  std::uint64_t magic = magic_value;
  std::uint64_t block_size = 0;  // bytes
  std::uint64_t started_at = 0;  // seconds since the epoch
  std::int32_t pid = 0;          // of the process that serves the tree
  std::uint32_t nodes = 0;
  char mount[512] = {};
  char era[32] = {};
  char backing[32] = {};

  // Kept current by the kernel model.
  counter blocks[max_nodes][stats_zone_names.size()][stats_state_names.size()] = {};
  counter memmap_bytes = 0;    // struct page metadata
  counter resident_bytes = 0;  // memory that the host holds for the machine

  // Kept current by the edge.
  counter operations[stats_op_names.size()] = {};
  counter errors[max_errno] = {};  // by errno
  counter parked = 0;              // requests that wait for a lock, a device or a restart
  counter restarts = 0;  // writes started again because device_hotplug_lock was busy
};

}  // namespace memhp
