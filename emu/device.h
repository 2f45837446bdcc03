// The device core: devices with a directory, attributes, a lock and an online state.
//
// Thread safety: device_online() and device_offline() take the device lock; creating and
// deleting a device is serialized by its subsystem.
//
// Mirrors drivers/base/core.c (6.1).
#pragma once

#include <array>
#include <atomic>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "blocks/result.h"
#include "emu/kernfs.h"
#include "emu/task.h"
#include "locks/cell.h"
#include "locks/tracked.h"

namespace memhp {

struct kernel;

// A bus: bus/NAME with one link a device.
struct bus_type {
  std::string_view name;
  kernfs_ref dir;
  kernfs_ref devices;
};

class device : public kobject {
 public:
  device(kernel& k, const bus_type* bus, std::string name)
      : k{k}, bus{bus}, name{std::move(name)}, lock{lock_key_in(k)} {}

  // Constant after construction.
  kernel& k;
  const bus_type* const bus;  // null: belongs to none, and sends no uevents
  const std::string name;

  // Constant from device_add() to device_del().
  kernfs_ref dir;
  std::span<const attribute* const> attributes;

  // device_lock(): held while the bus callbacks run. Not tracked by a lock validator,
  // because parents and children share its class.
  static constexpr lock_class_key lock_key{.name = "&dev->mutex",
                                           .validation = lock_validation::off};
  // Unless the machine is told to have it so, to see what the validator would say.
  static constexpr lock_class_key validated_lock_key{.name = "&dev->mutex"};
  static const lock_class_key& lock_key_in(const kernel& k);
  mutable tracked_mutex lock;
  cell<bool> offline GUARDED_BY(lock){"dev->offline", false};
  bool power_async GUARDED_BY(lock) = false;
  bool power_on GUARDED_BY(lock) = false;  // power/control: on, else auto

  // dev_set_uevent_suppress(): events that come meanwhile are not sent.
  std::atomic<bool> uevent_suppress = false;
  // dev->offline_disabled; may change at any time.
  std::atomic<bool> offline_disabled = false;

  // dev_uevent(): the variables of its events, "KEY=value", and what `uevent` shows.
  virtual std::vector<std::string> uevent_variables() const { return {}; }

  // Bus callbacks; only called where supports_offline() is true.
  virtual bool supports_offline() const { return false; }
  virtual result<> bus_online(task& by) REQUIRES(lock);
  virtual result<> bus_offline(task& by) REQUIRES(lock);
};

// The addresses of the members of a static array, for device_add().
template <std::size_t Size>
constexpr std::array<const attribute*, Size> addresses(
    const std::array<attribute, Size>& attributes) {
  std::array<const attribute*, Size> out{};
  for (std::size_t i = 0; i < Size; ++i) out[i] = &attributes[i];
  return out;
}

// Creates the bus's directory in the tree.
bus_type bus_register(kernel& k, std::string_view name);

// Creates the directory of a driver of the bus that no device is bound to, and that takes
// none.
void driver_register(kernel& k, const bus_type& bus, std::string_view name);

// Makes the device visible as a directory of its name in `parent`, with `attributes`,
// the standard files and links, and announces it.
void device_add(device& dev, kernfs_node& parent,
                std::span<const attribute* const> attributes);

// Takes it out again: waits for each of its files in turn, then announces the removal.
// The caller must hold no lock that a show or store of the device takes.
void device_del(device& dev);

// Where a device went: online or offline now, or it was there already.
enum class device_change : bool { changed, already };

// Take the device lock. Require device_hotplug_lock (asserted).
result<device_change> device_online(device& dev, task& by);
result<device_change> device_offline(device& dev, task& by);

// "/devices/..." of a device.
std::string devpath(device& dev);
// kobject_uevent() for a device; silent for one without a bus.
void device_uevent(device& dev, std::string_view action,
                   const std::vector<std::string>& extra = {});

}  // namespace memhp
