// DIMM slots: ACPI memory devices (PNP0C80), plugged by the firmware and ejected through
// their `eject` file.
//
// Mirrors drivers/acpi/acpi_memhotplug.c and acpi_scan_hot_remove() with its roll-back
// (drivers/acpi/scan.c, 6.1).
#pragma once

#include <map>
#include <memory>

#include "emu/device.h"
#include "emu/kernel.h"

namespace memhp {

class acpi_memory_device;

inline constexpr int max_dimm_slots = 256;

class acpi_memhotplug final : public kobject {
 public:
  explicit acpi_memhotplug(kernel& k);
  ~acpi_memhotplug() override;

  // Plugs `size` bytes into node `nid`, at the first hot-plug address where they fit,
  // into the first free slot. Returns the slot's number.
  // invalid_argument: size not whole blocks, node not possible; no_space_on_device: no
  // slot or no address left; else the error of add_memory(). Requires
  // device_hotplug_lock (asserted).
  result<int> plug(std::uint64_t size, int nid);

  // What the hot-plug worker does for an eject request: takes device_hotplug_lock,
  // offlines every block of the DIMM, or brings back those that it offlined if one
  // refuses, and removes the memory.
  result<> hot_remove(acpi_memory_device& slot) EXCLUDES(k.locks.device_hotplug_lock);

  kernel& k;

 private:
  // Null if all are taken.
  acpi_memory_device* free_slot() REQUIRES(k.locks.device_hotplug_lock);

  const bus_type bus_;
  const kernfs_ref dir_;  // devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A06:04
  std::map<int, std::unique_ptr<acpi_memory_device>> slots_
      GUARDED_BY(k.locks.device_hotplug_lock);
};

}  // namespace memhp
