#include "emu/machine.h"

#include <fcntl.h>

#include <algorithm>

#include "emu/acpi_memhotplug.h"
#include "emu/boot.h"
#include "emu/cpu_device.h"
#include "emu/dax_bus.h"
#include "emu/debug_files.h"
#include "emu/dlpar.h"
#include "emu/eras.h"
#include "emu/hv_balloon.h"
#include "emu/kernel.h"
#include "emu/memory_device.h"
#include "emu/memtrace.h"
#include "emu/module_parameters.h"
#include "emu/node_device.h"
#include "emu/proc_files.h"
#include "emu/slab.h"
#include "emu/slab_debug_files.h"
#include "emu/xen_balloon.h"
#include "locks/guards.h"

namespace memhp {
namespace {

std::vector<std::unique_ptr<pglist_data>> make_nodes(const numa_topology& topology) {
  std::vector<std::unique_ptr<pglist_data>> nodes;
  nodes.reserve(topology.node_cpus.size());
  for (int nid = 0; nid < topology.nodes(); ++nid)
    nodes.push_back(std::make_unique<pglist_data>(
        nid, topology.node_cpus[static_cast<std::size_t>(nid)]));
  return nodes;
}

void describe(machine_stats& stats, const machine_config& config) {
  stats.block_size = config.block_size;
  stats.nodes = static_cast<std::uint32_t>(config.nodes);
  const auto length = std::min(config.rules.era.size(), sizeof stats.era - 1);
  std::ranges::copy(config.rules.era.substr(0, length), stats.era);
}

// Nodes with CPUs or boot memory have a directory from the start.
void register_boot_nodes(kernel& k) {
  for (const auto& node : k.nodes) {
    if (node->nid >= k.config.nodes && node->cpus.empty()) continue;
    (void)try_online_node(k, node->nid);
    register_node(k, node->nid);
  }
}

std::string plug_error(std::string_view what, int node, errc error) {
  return "cannot plug a " + std::string{what} + " into node " + std::to_string(node) +
         ": " + std::make_error_code(error).message();
}

std::expected<void, std::string> plug_dimms(kernel& k) {
  guard hold{k.locks.device_hotplug_lock};
  for (const dimm_spec& dimm : k.config.dimms)
    if (auto slot = k.acpi->plug(dimm.size, dimm.node); !slot)
      return std::unexpected{plug_error("DIMM", dimm.node, slot.error())};
  for (const dimm_spec& dax : k.config.dax)
    if (auto region = k.dax->plug(dax.size, dax.node, nullptr); !region)
      return std::unexpected{plug_error("dax device", dax.node, region.error())};
  return {};
}

void add_platform(kernel& k) {
  switch (k.config.platform) {
    using enum platform_kind;
    case pc: return;
    case hyperv: k.hv = std::make_unique<hv_balloon>(k); return;
    case xen: k.xen = std::make_unique<xen_balloon>(k); return;
    case pseries: k.pseries = std::make_unique<dlpar>(k); return;
  }
}

}  // namespace

kernel::kernel(machine_config c, machine_environment environment)
    : config{std::move(c)},
      rules{config.rules},
      memory{environment.memory != nullptr ? *environment.memory : nothing},
      stats{environment.stats != nullptr ? *environment.stats : own_stats},
      log{std::move(environment.printk)},
      after{std::move(environment.after)},
      pause{std::move(environment.pause)},
      topology{*make_numa_topology(topology_spec(config))},
      nodes{make_nodes(topology)},
      locks{config.rules},
      cpus{locks, topology.cpus()},
      pages{config.max_memory, config.block_size},
      uevents{std::move(environment.uevent)},
      messages{environment.now},
      kacpi_hotplug_wq{kacpi_hotplug_key, environment.run_work},
      events_wq{events_key, std::move(environment.run_work)},
      sysfs{environment.now,
            {.name = era_of(config.rules).kernfs_name, .drain = config.rules.drain}} {
  describe(stats, config);
  parameters.policy = *online_policy_from(config.online_policy);
  node = std::make_unique<node_subsystem>(*this);
  cpu = std::make_unique<cpu_subsystem>(*this);
  slab = std::make_unique<slab_allocator>(*this);
  memory_dir = std::make_unique<memory_subsystem>(*this);
  acpi = std::make_unique<acpi_memhotplug>(*this);
  debug = std::make_unique<debug_files>(*this);
  debug_faults = std::make_unique<fault_files>(*this);
  trace = std::make_unique<memtrace>(*this);
  slab_debug = std::make_unique<slab_debug_files>(*this);
  proc = std::make_unique<proc_files>(*this);
  dax = std::make_unique<dax_bus>(*this);
  add_platform(*this);
  add_module_parameters(*this);
  auto_online = *online_type_from(config.auto_online);
}

kernel::~kernel() = default;

machine::machine(machine_config config, machine_environment environment)
    : kernel_{
          std::make_unique<struct kernel>(std::move(config), std::move(environment))} {}

machine::~machine() = default;

std::expected<std::unique_ptr<machine>, std::string> machine::boot(
    machine_config config, machine_environment environment) {
  if (auto ok = validate(config); !ok) return std::unexpected{ok.error()};
  std::unique_ptr<machine> booted{new machine{std::move(config), std::move(environment)}};
  register_boot_nodes(*booted->kernel_);
  if (auto ok = boot_memory(*booted->kernel_); !ok) return std::unexpected{ok.error()};
  if (booted->kernel_->xen) booted->kernel_->xen->boot();
  if (auto ok = plug_dimms(*booted->kernel_); !ok) return std::unexpected{ok.error()};
  return booted;
}

kernfs_root& machine::sysfs() {
  return kernel_->sysfs;
}
const machine_config& machine::config() const {
  return kernel_->config;
}
machine_stats& machine::stats() {
  return kernel_->stats;
}
void machine::flush_workqueues() {
  kernel_->kacpi_hotplug_wq.flush();
  kernel_->events_wq.flush();
}

result<std::size_t> machine::write(std::string_view path, std::string_view text,
                                   task& by) {
  auto node = sysfs().find(path);
  if (!node) return fail(node.error());
  auto file = kernfs_open_file::open(**node, O_WRONLY);
  if (!file) return fail(file.error());
  auto written = (*file)->write(text, by);
  while (!written && written.error() == restart_no_intr) {
    if (controlled != nullptr) [[unlikely]]
      controlled->before_trying_again();
    written = (*file)->write(text, by);
  }
  return written;
}

result<std::size_t> machine::write(std::string_view path, std::string_view text) {
  task by;
  return write(path, text, by);
}

result<std::string> machine::read(std::string_view path, task& by) {
  auto node = sysfs().find(path);
  if (!node) return fail(node.error());
  auto file = kernfs_open_file::open(**node, O_RDONLY);
  if (!file) return fail(file.error());
  constexpr std::size_t whole = std::size_t{1} << 20;
  return (*file)->read(0, whole, by);
}

result<std::string> machine::read(std::string_view path) {
  task by;
  return read(path, by);
}

}  // namespace memhp
