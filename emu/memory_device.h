// devices/system/memory: the memory blocks as devices, and the files beside them.
//
// Mirrors drivers/base/memory.c (6.1).
#pragma once

#include <memory>

#include "blocks/memory_block.h"
#include "emu/device.h"
#include "emu/kernel.h"

namespace memhp {

class memory_block_device final : public device {
 public:
  memory_block_device(kernel& k, const bus_type& bus, block_id id, phys_range range,
                      int nid);

  memory_block block;

  bool supports_offline() const override { return true; }
  result<> bus_online(task& by) override REQUIRES(lock);
  result<> bus_offline(task& by) override REQUIRES(lock);

  // Moves the block to the line of the statistics that its state and zone ask for.
  // Requires device_hotplug_lock.
  void recount();

  // memory_block_change_state(): past the device, for those who know its block to be in
  // `from` (invalid_argument otherwise).
  result<> change_state(block_state to, block_state from, task& by);

 private:
  machine_stats::counter* counted_in_ = nullptr;  // guarded by device_hotplug_lock
};

// The directory itself and its bus.
class memory_subsystem final : public device {
 public:
  explicit memory_subsystem(kernel& k);

  const bus_type memory_bus;
};

// Creates the devices of [range), offline, and announces them. The caller holds
// mem_hotplug_lock as well: creating drains nothing.
void create_memory_block_devices(kernel& k, phys_range range, int nid,
                                 const std::shared_ptr<memory_group>& group)
    REQUIRES(k.locks.device_hotplug_lock);

// A block of boot memory: online from the start, in no single zone if `managing` is null.
memory_block_device& create_boot_block(kernel& k, phys_range range, int nid,
                                       zone* managing)
    REQUIRES(k.locks.device_hotplug_lock);

// Removes the devices of [range): waits for whoever is inside their files. Must not be
// called with mem_hotplug_lock held where lock_rules say so.
void remove_memory_block_devices(kernel& k, phys_range range)
    REQUIRES(k.locks.device_hotplug_lock);

// The blocks that [range) covers, in order. Absent ones are left out.
std::vector<memory_block_device*> memory_blocks_in(kernel& k, phys_range range)
    REQUIRES(k.locks.device_hotplug_lock);

}  // namespace memhp
