// One memory block, the unit of hotplug: its state machine and what the kernel keeps
// about it.
//
// Thread safety: state() may be read by any thread at any time, as sysfs does; every
// other member is written under device_hotplug_lock and read there, or read as a single
// value by whoever shows it.
//
// Mirrors struct memory_block (include/linux/memory.h) and memory_block_change_state()
// (drivers/base/memory.c, 6.1).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "blocks/memory_group.h"
#include "blocks/result.h"
#include "blocks/units.h"
#include "locks/cell.h"

namespace memhp {

class zone;

// absent: not added yet, or removed. There is no going-online: while it goes online, a
// block still is, and reads, offline.
enum class block_state : std::uint8_t { absent, offline, online, going_offline };

// The transition table: every way in which a block may change.
struct block_transition {
  block_state from;
  block_state to;
  std::string_view when;
};
inline constexpr std::array block_transitions = {
    block_transition{block_state::absent, block_state::offline, "memory is added"},
    block_transition{block_state::absent, block_state::online, "boot memory"},
    block_transition{block_state::offline, block_state::online, "online_pages()"},
    block_transition{block_state::online, block_state::going_offline, "offline begins"},
    block_transition{block_state::going_offline, block_state::offline, "it succeeded"},
    block_transition{block_state::going_offline, block_state::online, "it failed"},
    block_transition{block_state::offline, block_state::absent, "memory is removed"},
};

constexpr bool is_transition(block_state from, block_state to) {
  for (const block_transition& t : block_transitions)
    if (t.from == from && t.to == to) return true;
  return false;
}

constexpr std::string_view to_string(block_state state) {
  switch (state) {
    using enum block_state;
    case absent: return "absent";
    case offline: return "offline";
    case online: return "online";
    case going_offline: return "going-offline";
  }
  return "ERROR-UNKNOWN";
}

// How a block is to go online: MMOP_* in the kernel, the words of `state`.
enum class online_type : std::uint8_t { offline, online, online_kernel, online_movable };

constexpr std::string_view to_string(online_type type) {
  switch (type) {
    using enum online_type;
    case offline: return "offline";
    case online: return "online";
    case online_kernel: return "online_kernel";
    case online_movable: return "online_movable";
  }
  return "?";
}
// The words, exactly; nothing else.
std::optional<online_type> online_type_from(std::string_view word);

class memory_block {
 public:
  memory_block(block_id id, phys_range range, int nid) : id{id}, range{range}, nid{nid} {}
  memory_block(const memory_block&) = delete;
  memory_block& operator=(const memory_block&) = delete;

  // Constant after construction.
  const block_id id;
  const phys_range range;
  const int nid;

  block_state state() const { return state_.load(std::memory_order_acquire); }
  bool present() const { return state() != block_state::absent; }

  // Goes from `from` to `to`. invalid_argument if the block is not in `from`. A pair
  // that is not in the table is a programmer's error and aborts.
  result<> change_state(block_state to, block_state from);

  // The one zone that manages the whole block; null while offline, and for boot blocks
  // that span zones.
  zone* managing_zone() const { return zone_.load(std::memory_order_acquire); }
  void set_managing_zone(zone* z) { zone_.store(z, std::memory_order_release); }

  // Guarded by device_hotplug_lock.
  cell<online_type> requested{"mem->online_type", online_type::offline};
  std::uint64_t hole_pages = 0;     // pages of the range without memory behind them
  std::uint64_t vmemmap_pages = 0;  // pages at its start that hold its own memmap
  bool boot_memory = false;
  std::uint64_t huge_pages = 0;  // free ones of the node's pool; guarded by hugetlb_lock
  std::shared_ptr<memory_group> group;  // null: none
  // Sections that are present; 0 once removal has begun (seed 000, v4). Its reader runs
  // under device_lock only, hence atomic.
  atomic_cell<unsigned> section_count{"mem->section_count", 1};

  std::uint64_t present_pages() const { return range.nr_pages() - hole_pages; }

 private:
  atomic_cell<block_state> state_{"mem->state", block_state::absent};
  atomic_cell<zone*> zone_{"mem->zone", nullptr};
};

}  // namespace memhp
