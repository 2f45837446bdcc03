// Which lock is taken where: the one table that says so.
//
// A value of lock_rules describes the locking of one kernel. Each field is tested in
// exactly one function of emu/, where the two orders stand as the two straight arms of
// one `if`.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace memhp {

// remove_memory(): where the block devices go, and with them their sysfs files, whose
// readers and writers are waited for.
enum class remove_devices : std::uint8_t {
  under_mem_hotplug_lock,  // the lock cycle of seed 000
  before_it,               // under device_hotplug_lock alone
};

// What device_online() makes of a block whose removal has begun.
enum class online_check : std::uint8_t {
  kernfs_only,    // as merged: the drained file answers no_such_device
  section_count,  // seed 000, v4: ENXIO once section_count is 0
};

// Whether remove_memory_block_devices() asserts device_hotplug_lock.
enum class removal_assertion : std::uint8_t { comment_only, assert_held };

// How a write to `state`, `online` or `probe` meets device_hotplug_lock.
enum class sysfs_gate : std::uint8_t {
  trylock,  // since 3.11: tried, and the write starts again if it is taken
  none,     // not at all: shows which deadlocks the gate keeps from happening
};

struct lock_rules {
  std::string_view era;
  std::string_view what;  // one line for people
  remove_devices removal;
  online_check online;
  removal_assertion assertion;
  sysfs_gate gate = sysfs_gate::trylock;
};

// The seeds' own world, the default: all five fixes as the seeds' texts have them.
inline constexpr lock_rules patched{
    .era = "patched",
    .what = "all seeds applied; block devices removed before mem_hotplug_lock",
    .removal = remove_devices::before_it,
    .online = online_check::section_count,
    .assertion = removal_assertion::assert_held,
};

inline constexpr std::array kernel_eras = {patched};

// nullptr if there is no such era.
constexpr const lock_rules* find_era(std::string_view name) {
  for (const lock_rules& rules : kernel_eras)
    if (rules.era == name) return &rules;
  return nullptr;
}

}  // namespace memhp
