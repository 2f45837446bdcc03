#include "emu/device.h"

#include <array>

#include "emu/kernel.h"
#include "emu/parse.h"
#include "locks/guards.h"
#include "locks/lock_rule.h"

namespace memhp {
namespace {

device& to_device(kobject& object) {
  return static_cast<device&>(object);
}

// Takes the device lock also where a device has no variables.
result<std::string> uevent_show(kobject& object, task&) {
  device& dev = to_device(object);
  guard hold{dev.lock};
  std::string text;
  for (const std::string& variable : dev.uevent_variables()) text += variable + "\n";
  return text;
}

result<std::size_t> uevent_store(kobject& object, std::string_view data, task&) {
  const auto event = kobject_synth_uevent(data);
  if (!event) return fail(event.error());
  device_uevent(to_device(object), event->action, event->variables);
  return data.size();
}

result<std::string> online_show(kobject& object, task&) {
  device& dev = to_device(object);
  guard hold{dev.lock};
  return dev.offline ? "0\n" : "1\n";
}

result<std::size_t> online_store(kobject& object, std::string_view data, task& by) {
  const auto wanted = kstrtobool(data);
  if (!wanted) return fail(wanted.error());
  device& dev = to_device(object);
  kernel& k = dev.k;
  if (!k.locks.lock_device_hotplug_sysfs()) return fail(restart_no_intr);
  const auto done = *wanted ? device_online(dev, by) : device_offline(dev, by);
  k.locks.unlock_device_hotplug_sysfs();
  if (!done) return fail(done.error());
  return data.size();  // being there already is success here
}

// power/: runtime power management as a device without a driver shows it.
result<std::string> power_async_show(kobject& object, task&) {
  device& dev = to_device(object);
  guard hold{dev.lock};
  return dev.power_async ? "enabled\n" : "disabled\n";
}

result<std::size_t> power_async_store(kobject& object, std::string_view data, task&) {
  const std::string_view word = written_word(data);
  if (word != "enabled" && word != "disabled") return fail(errc::invalid_argument);
  device& dev = to_device(object);
  guard hold{dev.lock};
  dev.power_async = word == "enabled";
  return data.size();
}

result<std::string> power_control_show(kobject& object, task&) {
  device& dev = to_device(object);
  guard hold{dev.lock};
  return dev.power_on ? "on\n" : "auto\n";
}

result<std::size_t> power_control_store(kobject& object, std::string_view data, task&) {
  const std::string_view word = written_word(data);
  if (word != "on" && word != "auto") return fail(errc::invalid_argument);
  device& dev = to_device(object);
  guard hold{dev.lock};
  dev.power_on = word == "on";
  return data.size();
}

result<std::string> zero_show(kobject&, task&) {
  return "0\n";
}
result<std::string> disabled_show(kobject&, task&) {
  return "disabled\n";
}
result<std::string> unsupported_show(kobject&, task&) {
  return "unsupported\n";
}

constexpr attribute uevent_attr{.name = "uevent",
                                .mode = 0644,
                                .show = uevent_show,
                                .store = uevent_store,
                                .show_sleeps = true};
constexpr attribute online_attr{.name = "online",
                                .mode = 0644,
                                .show = online_show,
                                .store = online_store,
                                .show_sleeps = true,
                                .store_sleeps = true};

// These take the device lock, which a block that goes offline keeps for as long as that
// takes: hence show_sleeps.
constexpr std::array power_attrs = {
    attribute{.name = "async",
              .mode = 0644,
              .show = power_async_show,
              .store = power_async_store,
              .show_sleeps = true,
              .store_sleeps = true},
    // Without a driver that uses autosuspend both directions are EIO.
    attribute{.name = "autosuspend_delay_ms", .mode = 0644},
    attribute{.name = "control",
              .mode = 0644,
              .show = power_control_show,
              .store = power_control_store,
              .show_sleeps = true,
              .store_sleeps = true},
    attribute{.name = "runtime_active_kids", .mode = 0444, .show = zero_show},
    attribute{.name = "runtime_active_time", .mode = 0444, .show = zero_show},
    attribute{.name = "runtime_enabled", .mode = 0444, .show = disabled_show},
    attribute{.name = "runtime_status", .mode = 0444, .show = unsupported_show},
    attribute{.name = "runtime_suspended_time", .mode = 0444, .show = zero_show},
    attribute{.name = "runtime_usage", .mode = 0444, .show = zero_show},
};

// Bus files that every bus has.
result<std::string> autoprobe_show(kobject&, task&) {
  return "1\n";
}
result<std::size_t> no_driver_store(kobject&, std::string_view, task&) {
  return fail(errc::no_such_device);
}
result<std::size_t> bus_uevent_store(kobject&, std::string_view data, task&) {
  const auto event = kobject_synth_uevent(data);
  if (!event) return fail(event.error());
  return data.size();
}
result<std::size_t> autoprobe_store(kobject&, std::string_view data, task&) {
  return data.size();
}

constexpr std::array bus_attrs = {
    attribute{.name = "drivers_autoprobe",
              .mode = 0644,
              .show = autoprobe_show,
              .store = autoprobe_store},
    attribute{.name = "drivers_probe", .mode = 0200, .store = no_driver_store},
    attribute{.name = "uevent", .mode = 0200, .store = bus_uevent_store},
};

// As every driver has them.
constexpr std::array driver_attrs = {
    attribute{.name = "bind", .mode = 0200, .store = no_driver_store},
    attribute{.name = "unbind", .mode = 0200, .store = no_driver_store},
    attribute{.name = "uevent", .mode = 0200, .store = bus_uevent_store},
};

kobject no_owner;

}  // namespace

result<> device::bus_online(task&) {
  return fail(errc::operation_not_supported);
}
result<> device::bus_offline(task&) {
  return fail(errc::operation_not_supported);
}

const lock_class_key& device::lock_key_in(const kernel& k) {
  return k.config.validate_dev_mutex ? validated_lock_key : lock_key;
}

bus_type bus_register(kernel& k, std::string_view name) {
  bus_type bus{.name = name,
               .dir = k.sysfs.make_path("bus/" + std::string{name}),
               .devices = k.sysfs.make_path("bus/" + std::string{name} + "/devices")};
  (void)k.sysfs.create_dir(*bus.dir, "drivers");
  for (const attribute& attr : bus_attrs)
    (void)k.sysfs.create_file(*bus.dir, attr, no_owner);
  return bus;
}

void driver_register(kernel& k, const bus_type& bus, std::string_view name) {
  const kernfs_ref drivers = *k.sysfs.lookup(*bus.dir, "drivers");
  const kernfs_ref dir = *k.sysfs.create_dir(*drivers, name);
  for (const attribute& attr : driver_attrs)
    (void)k.sysfs.create_file(*dir, attr, no_owner);
}

std::string devpath(device& dev) {
  std::string path = "/";
  path += dev.k.sysfs.path_of(*dev.dir);
  return path;
}

void device_uevent(device& dev, std::string_view action,
                   const std::vector<std::string>& extra) {
  if (dev.bus == nullptr || dev.uevent_suppress) return;
  std::vector<std::string> variables = dev.uevent_variables();
  variables.insert(variables.end(), extra.begin(), extra.end());
  dev.k.uevents.send(action, devpath(dev), dev.bus->name, variables);
}

namespace {

// There are no drivers here to be found. But the search takes the device lock, after the
// event that tells everybody of the device: an adder that holds what a writer of `online`
// wants inside that lock waits for the writer, which waits for it (seed 001).
void bus_probe_device(device& dev) {
  if (dev.bus == nullptr) return;
  guard hold{dev.lock};
}

}  // namespace

void device_add(device& dev, kernfs_node& parent,
                std::span<const attribute* const> attributes) {
  kernfs_root& sysfs = dev.k.sysfs;
  auto dir = sysfs.create_dir(parent, dev.name, &dev);
  if (!dir) lock_rule_broken("device exists already", dev.name);
  dev.dir = *dir;
  dev.attributes = attributes;
  (void)sysfs.create_file(*dev.dir, uevent_attr, dev);
  for (const attribute* attr : attributes) (void)sysfs.create_file(*dev.dir, *attr, dev);
  if (dev.supports_offline()) (void)sysfs.create_file(*dev.dir, online_attr, dev);
  if (dev.bus != nullptr) {
    (void)sysfs.create_link(*dev.bus->devices, dev.name, *dev.dir);
    (void)sysfs.create_link(*dev.dir, "subsystem", *dev.bus->dir);
  }
  if (auto power = sysfs.create_dir(*dev.dir, "power", &dev))
    for (const attribute& attr : power_attrs) (void)sysfs.create_file(**power, attr, dev);
  device_uevent(dev, "add");
  bus_probe_device(dev);
}

void device_del(device& dev) {
  kernfs_root& sysfs = dev.k.sysfs;
  sysfs.remove_by_name(*dev.dir, "power");
  sysfs.remove_by_name(*dev.dir, "uevent");
  sysfs.remove_by_name(*dev.dir, "online");
  for (const attribute* attr : dev.attributes) sysfs.remove_by_name(*dev.dir, attr->name);
  if (dev.bus != nullptr) sysfs.remove_by_name(*dev.bus->devices, dev.name);
  device_uevent(dev, "remove");
  sysfs.remove(*dev.dir);
}

result<device_change> device_online(device& dev, task& by) {
  dev.k.locks.assert_may_change();  // rule 3
  guard hold{dev.lock};
  if (!dev.offline) return device_change::already;
  if (auto ok = dev.bus_online(by); !ok) return fail(ok.error());
  // Inside the device lock and before the flag, as the kernel does: a reader of `online`
  // that is woken by the event waits for the lock and then sees the new state.
  device_uevent(dev, "online");
  dev.offline = false;
  return device_change::changed;
}

result<device_change> device_offline(device& dev, task& by) {
  dev.k.locks.assert_may_change();  // rule 3
  if (dev.offline_disabled) return fail(errc::operation_not_permitted);
  guard hold{dev.lock};
  if (dev.offline) return device_change::already;
  if (auto ok = dev.bus_offline(by); !ok) return fail(ok.error());
  device_uevent(dev, "offline");
  dev.offline = true;
  return device_change::changed;
}

}  // namespace memhp
