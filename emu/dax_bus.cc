#include "emu/dax_bus.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "emu/dax_kmem.h"
#include "emu/memory_hotplug.h"
#include "emu/parse.h"
#include "locks/guards.h"

namespace memhp {

namespace {

// Where the ACPI table of NVDIMMs (NFIT) hangs, and what it lists below.
constexpr std::string_view nfit_dir = "devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00";

// --- the region: dax_region/ beside the device ----------------------------------------

class dax_region final : public kobject {
 public:
  dax_region(int id, std::uint64_t size) : id{id}, size{size} {}
  const int id;
  const std::uint64_t size;
};

result<std::string> region_id_show(kobject& object, task&) {
  return fmt::format("{}\n", static_cast<dax_region&>(object).id);
}
result<std::string> region_size_show(kobject& object, task&) {
  return fmt::format("{}\n", static_cast<dax_region&>(object).size);
}
result<std::string> region_align_show(kobject&, task&) {
  return fmt::format("{}\n", dax_align);
}
constexpr std::array region_attrs = {
    attribute{.name = "id", .mode = 0444, .show = region_id_show},
    attribute{.name = "size", .mode = 0444, .show = region_size_show},
    attribute{.name = "align", .mode = 0400, .show = region_align_show},
};

// --- drivers/NAME/ ---------------------------------------------------------------------

dax_driver& to_driver(kobject& object) {
  return static_cast<dax_driver&>(object);
}

using driver_request = result<> (dax_bus::*)(dax_driver&, std::string_view);

template <driver_request Request>
result<std::size_t> request_store(kobject& object, std::string_view data, task&) {
  dax_driver& driver = to_driver(object);
  auto ok = (driver.dax.*Request)(driver, written_word(data));
  if (!ok) return fail(ok.error());
  return data.size();
}

result<std::size_t> bind_store(kobject& object, std::string_view data, task& by) {
  return request_store<&dax_bus::bind>(object, data, by);
}
// By name in the reports, as in the kernel's.
[[gnu::noinline]] result<std::size_t> unbind_store(kobject& object, std::string_view data,
                                                   task& by) {
  auto stored = request_store<&dax_bus::unbind>(object, data, by);
  return stored;
}

result<std::size_t> uevent_store(kobject&, std::string_view data, task&) {
  const auto event = kobject_synth_uevent(data);
  if (!event) return fail(event.error());
  return data.size();
}

constexpr std::array driver_attrs = {
    attribute{.name = "bind", .mode = 0200, .store = bind_store, .store_sleeps = true},
    attribute{
        .name = "unbind", .mode = 0200, .store = unbind_store, .store_sleeps = true},
    attribute{.name = "new_id",
              .mode = 0200,
              .store = request_store<&dax_bus::new_id>,
              .store_sleeps = true},
    attribute{
        .name = "remove_id", .mode = 0200, .store = request_store<&dax_bus::remove_id>},
    attribute{.name = "uevent", .mode = 0200, .store = uevent_store},
};

// --- bus/dax/ and module/NAME/ ---------------------------------------------------------

class bus_owner final : public kobject {
 public:
  explicit bus_owner(dax_bus& dax) : dax{dax} {}
  dax_bus& dax;
};

result<std::size_t> drivers_probe_store(kobject& object, std::string_view data, task&) {
  auto bound = static_cast<bus_owner&>(object).dax.rescan(written_word(data));
  if (!bound) return fail(bound.error());
  if (!*bound) return fail(errc::invalid_argument);
  return data.size();
}
constexpr attribute drivers_probe_attr{.name = "drivers_probe",
                                       .mode = 0200,
                                       .store = drivers_probe_store,
                                       .store_sleeps = true};

result<std::string> initstate_show(kobject&, task&) {
  return "live\n";
}
constexpr std::array module_attrs = {
    attribute{.name = "initstate", .mode = 0444, .show = initstate_show},
    attribute{.name = "uevent", .mode = 0200, .store = uevent_store},
};

// The driver whose devices programs map through /dev. It claims the range, so that
// nothing else uses the memory meanwhile.
class device_dax final : public dax_driver {
 public:
  explicit device_dax(dax_bus& on)
      : dax_driver{on, "device_dax", /*match_always=*/true} {}

  result<> probe(dax_device& dev) override REQUIRES(dev.lock) {
    if (dev.k.iomem.request(dev.range, dev.name)) return {};
    dev.printk(fmt::format("mapping0: {:#x}-{:#x} could not reserve range",
                           dev.range.start.value, dev.range.end().value - 1),
               log_level::warning);
    return fail(errc::device_or_resource_busy);
  }
  void remove(dax_device& dev) override REQUIRES(dev.lock) {
    dev.k.iomem.release(dev.range);
  }
};

// "daxN.M", as sscanf() and a comparison of what it read have it.
bool is_device_name(std::string_view name) {
  const auto number = [&name] {
    const auto digits =
        std::ranges::find_if(name, [](char c) { return c < '0' || c > '9'; });
    const auto length = static_cast<std::size_t>(digits - name.begin());
    const bool plain = length > 0 && length < 10 && (length == 1 || name[0] != '0');
    name.remove_prefix(length);
    return plain;
  };
  if (!name.starts_with("dax")) return false;
  name.remove_prefix(3);
  if (!number() || !name.starts_with('.')) return false;
  name.remove_prefix(1);
  return number() && name.empty();
}

}  // namespace

dax_driver::dax_driver(dax_bus& on, std::string_view module, bool every)
    : dax{on}, name{module}, match_always{every} {}

dax_bus::dax_bus(kernel& kern) : k{kern}, bus{bus_register(kern, "dax")} {
  auto owner = std::make_unique<bus_owner>(*this);
  k.sysfs.remove_by_name(*bus.dir, drivers_probe_attr.name);
  (void)k.sysfs.create_file(*bus.dir, drivers_probe_attr, *owner);
  kobjects_.push_back(std::move(owner));
  // Before the first device, as if a table were there without entries: the directory can
  // be put into the host's tree, and devices come into it later.
  (void)k.sysfs.make_path(nfit_dir);
  register_driver(std::make_unique<device_dax>(*this));
  register_driver(std::make_unique<dax_kmem>(*this));
}

dax_bus::~dax_bus() = default;

void dax_bus::register_driver(std::unique_ptr<dax_driver> driver) {
  const std::string name{driver->name};
  driver->dir = k.sysfs.make_path("bus/dax/drivers/" + name);
  const kernfs_ref module = k.sysfs.make_path("module/" + name);
  for (const attribute& attr : module_attrs)
    (void)k.sysfs.create_file(*module, attr, *driver);
  for (const attribute& attr : driver_attrs)
    (void)k.sysfs.create_file(*driver->dir, attr, *driver);
  (void)k.sysfs.create_link(*driver->dir, "module", *module);
  const kernfs_ref drivers = k.sysfs.make_path("module/" + name + "/drivers");
  (void)k.sysfs.create_link(*drivers, "dax:" + name, *driver->dir);
  drivers_.push_back(std::move(driver));
}

result<int> dax_bus::plug(std::uint64_t size, int nid, const phys_addr* start) {
  k.locks.assert_held_device_hotplug();
  if (size == 0 || !is_aligned(size, dax_align) || !k.node_possible(nid) ||
      (start != nullptr && !is_aligned(start->value, dax_align)))
    return fail(errc::invalid_argument);
  if (start != nullptr &&
      (size > k.config.max_memory || start->value > k.config.max_memory - size))
    return fail(errc::no_space_on_device);
  const auto range =
      start != nullptr ? result<phys_range>{{*start, size}} : find_hotplug_room(k, size);
  if (!range) return fail(range.error());
  if (auto ok =
          k.iomem.request(*range, "Persistent Memory", resource_tree::use::divisible);
      !ok)
    return fail(ok.error());

  const int id = next_region_++;
  const kernfs_ref parent =
      k.sysfs.make_path(fmt::format("{0}/ndbus0/region{1}/dax{1}.1", nfit_dir, id));
  auto region = std::make_unique<dax_region>(id, size);
  const kernfs_ref dir = *k.sysfs.create_dir(*parent, "dax_region", region.get());
  for (const attribute& attr : region_attrs)
    (void)k.sysfs.create_file(*dir, attr, *region);

  auto made = std::make_unique<dax_device>(*this, id, *range, nid);
  dax_device& dev = *made;
  {
    guard hold{lock_};
    devices_.emplace(dev.name, std::move(made));
    kobjects_.push_back(std::move(region));
  }
  dev.add_to(*parent);
  (void)rescan(dev.name);  // bus_probe_device()
  return id;
}

dax_device* dax_bus::find(std::string_view name) {
  guard hold{lock_};
  const auto at = devices_.find(name);
  return at == devices_.end() ? nullptr : at->second.get();
}

bool dax_bus::matches(const dax_driver& driver, const dax_device& dev) {
  if (driver.match_always) return true;
  guard hold{lock_};
  return driver.ids.contains(dev.name);
}

result<> dax_bus::really_probe(dax_driver& driver, dax_device& dev) {
  if (dev.driver != nullptr) return fail(errc::device_or_resource_busy);
  dev.driver = &driver;
  (void)k.sysfs.create_link(*driver.dir, dev.name, *dev.dir);
  (void)k.sysfs.create_link(*dev.dir, "driver", *driver.dir);
  if (auto ok = driver.probe(dev); !ok) {
    k.sysfs.remove_by_name(*driver.dir, dev.name);
    k.sysfs.remove_by_name(*dev.dir, "driver");
    dev.driver = nullptr;
    k.printk(fmt::format("{}: probe of {} failed with error {}", driver.name, dev.name,
                         -static_cast<int>(ok.error())),
             log_level::warning);
    return ok;
  }
  device_uevent(dev, "bind");
  return {};
}

[[gnu::noinline]] result<> dax_bus::device_driver_attach(dax_driver& driver,
                                                         dax_device& dev) {
  guard hold{dev.lock};
  auto ok = really_probe(driver, dev);
  return ok;
}

result<> dax_bus::bind(dax_driver& driver, std::string_view name) {
  dax_device* const dev = find(name);
  if (dev == nullptr || !matches(driver, *dev)) return fail(errc::no_such_device);
  return device_driver_attach(driver, *dev);
}

// With device_release_driver_internal(): the driver's remove() cannot refuse.
result<> dax_bus::unbind(dax_driver& driver, std::string_view name) {
  dax_device* const dev = find(name);
  if (dev == nullptr || dev->driver != &driver) return fail(errc::no_such_device);
  guard hold{dev->lock};
  if (dev->driver != &driver) return {};  // another writer was faster
  k.sysfs.remove_by_name(*driver.dir, dev->name);
  k.sysfs.remove_by_name(*dev->dir, "driver");
  driver.remove(*dev);
  dev->driver = nullptr;
  device_uevent(*dev, "unbind");
  return {};
}

result<> dax_bus::new_id(dax_driver& driver, std::string_view name) {
  if (!is_device_name(name)) return fail(errc::invalid_argument);
  {
    guard hold{lock_};
    driver.ids.emplace(name);
  }
  // driver_attach(): whatever comes of it is no error of the write.
  if (dax_device* const dev = find(name)) (void)device_driver_attach(driver, *dev);
  return {};
}

result<> dax_bus::remove_id(dax_driver& driver, std::string_view name) {
  if (!is_device_name(name)) return fail(errc::invalid_argument);
  guard hold{lock_};
  driver.ids.erase(std::string{name});
  return {};
}

result<bool> dax_bus::rescan(std::string_view name) {
  dax_device* const dev = find(name);
  if (dev == nullptr) return fail(errc::no_such_device);
  for (const auto& driver : drivers_)
    if (matches(*driver, *dev) && device_driver_attach(*driver, *dev)) return true;
  return false;
}

}  // namespace memhp
