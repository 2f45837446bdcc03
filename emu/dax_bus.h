// bus/dax: memory that the kernel does not use by itself (persistent memory, say), as
// devices which programs map, or which the kmem driver turns into system RAM.
//
// Each device is alone in a static region, as a namespace of an NVDIMM in devdax mode is,
// and starts bound to device_dax. Writing its name to drivers/DRIVER/unbind and bind
// moves it to another driver; kmem wants to be told the name first, through new_id.
//
// Thread safety: any thread. probe() and remove() run under the device's lock.
// dax_bus_lock guards the lists and is never held meanwhile. A device stays until the
// machine ends.
//
// Mirrors drivers/dax/bus.c, drivers/dax/device.c, drivers/dax/pmem.c and the driver core
// (drivers/base/bus.c, drivers/base/dd.c, 6.1).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "emu/device.h"
#include "emu/kernel.h"
#include "locks/cell.h"

namespace memhp {

class dax_bus;
class dax_driver;
class dax_mapping;

// What the smallest mapping of such a device is, and so what its size is a multiple of.
inline constexpr std::uint64_t dax_align = 2 * MiB;

class dax_device final : public device {
 public:
  dax_device(dax_bus& on, int region_id, phys_range range, int target_node);
  ~dax_device() override;

  // Constant after construction.
  dax_bus& dax;
  const int region_id;
  const phys_range range;
  const int target_node;  // where its memory goes as system RAM

  // dev->driver: changes under the device's lock; null while none is bound.
  atomic_cell<dax_driver*> driver{"dev->driver", nullptr};
  // What the driver keeps with the device.
  std::shared_ptr<memory_group> group GUARDED_BY(lock);

  std::vector<std::string> uevent_variables() const override;
  // dev_info() and dev_warn(): after the names of its driver and itself.
  void printk(const std::string& text, log_level level);
  // device_add() of itself and its mapping.
  void add_to(kernfs_node& parent);

 private:
  const std::unique_ptr<dax_mapping> mapping_;  // mapping0
};

// A driver with its files: drivers/NAME/{bind,unbind,new_id,remove_id,uevent,module}.
class dax_driver : public kobject {
 public:
  // `match_always`: takes every device, not only those named through new_id.
  dax_driver(dax_bus& on, std::string_view name, bool match_always);

  virtual result<> probe(dax_device& dev) REQUIRES(dev.lock) = 0;
  virtual void remove(dax_device& dev) REQUIRES(dev.lock) = 0;

  dax_bus& dax;
  const std::string_view name;
  const bool match_always;
  kernfs_ref dir;
  std::set<std::string, std::less<>> ids;  // guarded by dax_bus_lock
};

class dax_bus {
 public:
  explicit dax_bus(kernel& k);
  ~dax_bus();

  // A device of `size` bytes whose memory belongs to node `nid`, at `start`, or at the
  // first free place if that is null; bound to device_dax. Returns its region's number.
  // invalid_argument: size or start not a multiple of dax_align, node not possible;
  // no_space_on_device: no place left; file_exists: something else is there. Requires
  // device_hotplug_lock (asserted).
  result<int> plug(std::uint64_t size, int nid, const phys_addr* start);

  // bind_store() and unbind_store(). no_such_device: no such device, or not one for this
  // driver; device_or_resource_busy: bound already; else the error of probe().
  result<> bind(dax_driver& driver, std::string_view name);
  result<> unbind(dax_driver& driver, std::string_view name);
  // new_id_store(): binds the device at once if nothing else has it.
  // invalid_argument: no such name can be.
  result<> new_id(dax_driver& driver, std::string_view name);
  result<> remove_id(dax_driver& driver, std::string_view name);
  // Binds an unbound device to the first driver that takes it; false if none does.
  // no_such_device if there is no such device.
  result<bool> rescan(std::string_view name);

  kernel& k;
  const bus_type bus;

 private:
  dax_device* find(std::string_view name);
  bool matches(const dax_driver& driver, const dax_device& dev);
  result<> device_driver_attach(dax_driver& driver, dax_device& dev) EXCLUDES(dev.lock);
  result<> really_probe(dax_driver& driver, dax_device& dev) REQUIRES(dev.lock);
  void register_driver(std::unique_ptr<dax_driver> driver);

  static constexpr lock_class_key lock_key{.name = "dax_bus_lock"};
  tracked_mutex lock_{lock_key};
  std::map<std::string, std::unique_ptr<dax_device>, std::less<>> devices_
      GUARDED_BY(lock_);
  std::vector<std::unique_ptr<kobject>> kobjects_;    // of regions and modules
  std::vector<std::unique_ptr<dax_driver>> drivers_;  // constant once made
  int next_region_ = 0;                               // guarded by device_hotplug_lock
};

}  // namespace memhp
