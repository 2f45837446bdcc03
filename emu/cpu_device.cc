#include "emu/cpu_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "emu/node_device.h"

namespace memhp {
namespace {

constexpr unsigned kernel_max = 8191;  // CONFIG_NR_CPUS - 1

cpu_device& to_cpu(kobject& object) {
  return static_cast<cpu_device&>(object);
}
cpu_subsystem& to_subsystem(kobject& object) {
  return static_cast<cpu_subsystem&>(object);
}

// --- cpuN/topology/: one socket a node, one thread a core ------------------------------

// A CPU that goes offline leaves its package.
std::vector<unsigned> package_of(const cpu_device& cpu) {
  return cpu.k.cpus.online_among(cpu.k.nodes[static_cast<std::size_t>(cpu.nid)]->cpus);
}
result<std::string> package_id_show(kobject& object, task&) {
  return fmt::format("{}\n", to_cpu(object).nid);
}
result<std::string> core_id_show(kobject& object, task&) {
  const cpu_device& cpu = to_cpu(object);
  const auto& all = cpu.k.nodes[static_cast<std::size_t>(cpu.nid)]->cpus;
  return fmt::format("{}\n", std::ranges::find(all, cpu.number) - all.begin());
}
result<std::string> die_id_show(kobject&, task&) {
  return "0\n";
}
result<std::string> own_mask_show(kobject& object, task&) {
  const cpu_device& cpu = to_cpu(object);
  return format_mask({cpu.number}, cpu.k.cpu->count()) + "\n";
}
result<std::string> own_list_show(kobject& object, task&) {
  return format_list({to_cpu(object).number}) + "\n";
}
result<std::string> package_mask_show(kobject& object, task&) {
  const cpu_device& cpu = to_cpu(object);
  return format_mask(package_of(cpu), cpu.k.cpu->count()) + "\n";
}
result<std::string> package_list_show(kobject& object, task&) {
  return format_list(package_of(to_cpu(object))) + "\n";
}

constexpr std::array topology_attrs = {
    attribute{.name = "physical_package_id", .mode = 0444, .show = package_id_show},
    attribute{.name = "die_id", .mode = 0444, .show = die_id_show},
    attribute{.name = "core_id", .mode = 0444, .show = core_id_show},
    attribute{.name = "thread_siblings", .mode = 0444, .show = own_mask_show},
    attribute{.name = "thread_siblings_list", .mode = 0444, .show = own_list_show},
    attribute{.name = "core_cpus", .mode = 0444, .show = own_mask_show},
    attribute{.name = "core_cpus_list", .mode = 0444, .show = own_list_show},
    attribute{.name = "core_siblings", .mode = 0444, .show = package_mask_show},
    attribute{.name = "core_siblings_list", .mode = 0444, .show = package_list_show},
    attribute{.name = "die_cpus", .mode = 0444, .show = package_mask_show},
    attribute{.name = "die_cpus_list", .mode = 0444, .show = package_list_show},
    attribute{.name = "package_cpus", .mode = 0444, .show = package_mask_show},
    attribute{.name = "package_cpus_list", .mode = 0444, .show = package_list_show},
};

// --- cpu/ ------------------------------------------------------------------------------

result<std::string> all_show(kobject& object, task&) {
  std::vector<unsigned> numbers(to_subsystem(object).count());
  std::ranges::generate(numbers, [next = 0U]() mutable { return next++; });
  return format_list(numbers) + "\n";
}
result<std::string> online_show(kobject& object, task&) {
  return format_list(to_subsystem(object).k.cpus.online_cpus()) + "\n";
}
result<std::string> offline_show(kobject& object, task&) {
  return format_list(to_subsystem(object).k.cpus.offline_cpus()) + "\n";
}
result<std::string> none_show(kobject&, task&) {
  return "\n";
}
result<std::string> kernel_max_show(kobject&, task&) {
  return fmt::format("{}\n", kernel_max);
}

constexpr std::array cpu_root_attrs = {
    attribute{.name = "online", .mode = 0444, .show = online_show},
    attribute{.name = "possible", .mode = 0444, .show = all_show},
    attribute{.name = "present", .mode = 0444, .show = all_show},
    attribute{.name = "offline", .mode = 0444, .show = offline_show},
    attribute{.name = "isolated", .mode = 0444, .show = none_show},
    attribute{.name = "kernel_max", .mode = 0444, .show = kernel_max_show},
};
constexpr auto cpu_root_attr_list = addresses(cpu_root_attrs);

void add_topology(cpu_device& cpu) {
  kernfs_root& sysfs = cpu.k.sysfs;
  auto topology = sysfs.create_dir(*cpu.dir, "topology", &cpu);
  if (!topology) return;
  for (const attribute& attr : topology_attrs)
    (void)sysfs.create_file(**topology, attr, cpu);
}

// Node of every CPU, by CPU number: validate() has seen to it that there is no gap.
std::vector<int> nodes_by_cpu(const kernel& k) {
  std::vector<int> nids;
  for (const auto& node : k.nodes)
    for (const unsigned cpu : node->cpus) {
      if (cpu >= nids.size()) nids.resize(cpu + 1, 0);
      nids[cpu] = node->nid;
    }
  return nids;
}

}  // namespace

cpu_device::cpu_device(kernel& kern, const bus_type& on, unsigned cpu, int node)
    : device{kern, &on, fmt::format("cpu{}", cpu)}, number{cpu}, nid{node} {
  offline_disabled = number == 0;
}

// cpu_subsys_online() and cpu_subsys_offline().
result<> cpu_device::bus_online(task&) {
  return k.cpus.cpu_up(number);
}
result<> cpu_device::bus_offline(task&) {
  return k.cpus.cpu_down(number);
}

cpu_subsystem::cpu_subsystem(kernel& kern)
    : device{kern, nullptr, "cpu"},
      cpu_bus{bus_register(kern, "cpu")},
      topology_{.state = cpuhp_state::topology_prepare,
                .name = "base/topology:prepare",
                .startup =
                    [this](unsigned cpu) {
                      add_topology(*devices[cpu]);
                      return result<>{};
                    },
                // Waits for its readers, under cpu_hotplug_lock: they take no lock.
                .teardown =
                    [this](unsigned cpu) {
                      k.sysfs.remove_by_name(*devices[cpu]->dir, "topology");
                      return result<>{};
                    }} {
  // Of drivers/acpi, and without ACPI objects of the CPUs it is bound to none.
  driver_register(k, cpu_bus, "processor");
  device_add(*this, *k.sysfs.make_path("devices/system"), cpu_root_attr_list);
  for (const int nid : nodes_by_cpu(k)) {
    const unsigned number = count();
    auto& cpu =
        *devices.emplace_back(std::make_unique<cpu_device>(k, cpu_bus, number, nid));
    device_add(cpu, *dir, {});
    add_topology(cpu);
  }
  k.cpus.cpuhp_setup_state(topology_);
}

cpu_subsystem::~cpu_subsystem() {
  k.cpus.cpuhp_remove_state(topology_);
}

void link_cpus_to_node(kernel& k, node_device& node) {
  for (const unsigned number : node.data.cpus) {
    cpu_device& cpu = *k.cpu->devices[number];
    (void)k.sysfs.create_link(*node.dir, cpu.name, *cpu.dir);
    (void)k.sysfs.create_link(*cpu.dir, node.name, *node.dir);
  }
}

}  // namespace memhp
