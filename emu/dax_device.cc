// A dax device as a directory: its attributes, its mapping, its events.
#include <fmt/format.h>

#include <array>

#include "emu/dax_bus.h"
#include "locks/guards.h"

namespace memhp {

// daxN.0/mapping0: one contiguous piece of a device.
class dax_mapping final : public device {
 public:
  explicit dax_mapping(dax_device& whole)
      : device{whole.k, nullptr, "mapping0"}, range{whole.range} {}
  const phys_range range;
};

namespace {

constexpr int dax_major = 252;

dax_device& to_dax(kobject& object) {
  return static_cast<dax_device&>(object);
}

result<std::string> modalias_show(kobject&, task&) {
  return "dax:t0\n";
}
result<std::string> dev_show(kobject& object, task&) {
  return fmt::format("{}:{}\n", dax_major, to_dax(object).region_id);
}
// A lock for a number that never changes in a static region: as the kernel has it.
result<std::string> size_show(kobject& object, task&) {
  dax_device& dev = to_dax(object);
  guard hold{dev.lock};
  return fmt::format("{}\n", dev.range.size);
}
result<std::string> target_node_show(kobject& object, task&) {
  return fmt::format("{}\n", to_dax(object).target_node);
}
result<std::string> align_show(kobject&, task&) {
  return fmt::format("{}\n", dax_align);
}
result<std::string> resource_show(kobject& object, task&) {
  return fmt::format("{:#x}\n", to_dax(object).range.start.value);
}

// The node with CPUs that is nearest to the memory.
result<std::string> numa_node_show(kobject& object, task&) {
  const dax_device& dev = to_dax(object);
  const kernel& k = dev.k;
  int nearest = dev.target_node;
  int least = INT32_MAX;
  for (const auto& node : k.nodes) {
    const int distance = k.topology.distance(dev.target_node, node->nid);
    if (node->cpus.empty() || distance >= least) continue;
    least = distance;
    nearest = node->nid;
  }
  return fmt::format("{}\n", nearest);
}

constexpr std::array dax_attrs = {
    attribute{.name = "dev", .mode = 0444, .show = dev_show},
    attribute{.name = "modalias", .mode = 0444, .show = modalias_show},
    attribute{.name = "size", .mode = 0444, .show = size_show, .show_sleeps = true},
    attribute{.name = "target_node", .mode = 0444, .show = target_node_show},
    attribute{.name = "align", .mode = 0444, .show = align_show},
    attribute{.name = "resource", .mode = 0400, .show = resource_show},
    attribute{.name = "numa_node", .mode = 0444, .show = numa_node_show},
};
constexpr auto dax_attr_list = addresses(dax_attrs);

phys_range mapped(kobject& object) {
  return static_cast<dax_mapping&>(object).range;
}
result<std::string> start_show(kobject& object, task&) {
  return fmt::format("{:#x}\n", mapped(object).start.value);
}
result<std::string> end_show(kobject& object, task&) {
  return fmt::format("{:#x}\n", mapped(object).end().value - 1);
}
result<std::string> page_offset_show(kobject&, task&) {
  return "0\n";  // %#lx of nothing
}
constexpr std::array mapping_attrs = {
    attribute{.name = "start", .mode = 0400, .show = start_show},
    attribute{.name = "end", .mode = 0400, .show = end_show},
    attribute{.name = "page_offset", .mode = 0400, .show = page_offset_show},
};
constexpr auto mapping_attr_list = addresses(mapping_attrs);

}  // namespace

dax_device::dax_device(dax_bus& on, int region, phys_range where, int node)
    : device{on.k, &on.bus, fmt::format("dax{}.0", region)},
      dax{on},
      region_id{region},
      range{where},
      target_node{node},
      mapping_{std::make_unique<dax_mapping>(*this)} {}

dax_device::~dax_device() = default;

std::vector<std::string> dax_device::uevent_variables() const {
  std::vector<std::string> variables = {fmt::format("MAJOR={}", dax_major),
                                        fmt::format("MINOR={}", region_id),
                                        "DEVNAME=" + name};
  if (const dax_driver* bound = driver)
    variables.push_back(fmt::format("DRIVER={}", bound->name));
  variables.emplace_back("MODALIAS=dax:t0");
  return variables;
}

void dax_device::printk(const std::string& text, log_level level) {
  const dax_driver* bound = driver;
  k.printk(fmt::format("{} {}: {}", bound != nullptr ? bound->name : "dax", name, text),
           level);
}

void dax_device::add_to(kernfs_node& parent) {
  device_add(*this, parent, dax_attr_list);
  device_add(*mapping_, *dir, mapping_attr_list);
}

}  // namespace memhp
