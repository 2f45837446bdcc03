// What a configuration must fulfil, and what to write instead.
#include <fmt/format.h>

#include <algorithm>

#include "blocks/memory_block.h"
#include "blocks/numa_topology.h"
#include "emu/acpi_memhotplug.h"
#include "emu/boot.h"
#include "emu/dax_bus.h"
#include "emu/machine.h"
#include "emu/module_parameters.h"

namespace memhp {
namespace {

constexpr std::uint64_t min_block_size = 2 * MiB;
constexpr std::uint64_t max_block_size = 2 * GiB;
constexpr std::uint64_t max_window = 64 * TiB;

using check = std::expected<void, std::string>;

template <class... Args>
auto wrong(fmt::format_string<Args...> text, Args&&... args) {
  return std::unexpected{fmt::format(text, std::forward<Args>(args)...)};
}

std::string size_text(std::uint64_t bytes) {
  if (bytes != 0 && bytes % GiB == 0) return fmt::format("{}G", bytes / GiB);
  if (bytes != 0 && bytes % MiB == 0) return fmt::format("{}M", bytes / MiB);
  return fmt::format("{}", bytes);
}

check check_sizes(const machine_config& c) {
  if (!is_power_of_two(c.block_size) || c.block_size < min_block_size ||
      c.block_size > max_block_size)
    return wrong("block size {} is not a power of two between {} and {}: write e.g. 128M",
                 size_text(c.block_size), size_text(min_block_size),
                 size_text(max_block_size));
  if (c.memory == 0 || !is_aligned(c.memory, c.block_size))
    return wrong("memory {} is not a multiple of the block size: write e.g. {}",
                 size_text(c.memory),
                 size_text((c.memory / c.block_size + 1) * c.block_size));
  if (!is_power_of_two(c.max_memory) || c.max_memory > max_window)
    return wrong("max memory {} is not a power of two of at most {}: write e.g. 1T",
                 size_text(c.max_memory), size_text(max_window));
  if (!is_aligned(c.movablecore, c.block_size))
    return wrong("movablecore {} is not a multiple of the block size {}",
                 size_text(c.movablecore), size_text(c.block_size));
  return {};
}

int possible_nodes(const machine_config& c) {
  int count = std::max(c.nodes, c.possible_nodes);
  for (const auto* plugged : {&c.dimms, &c.dax})
    for (const dimm_spec& one : *plugged)
      count = std::max(count, std::min<int>(one.node, max_nodes) + 1);
  return count;
}

check check_nodes(const machine_config& c) {
  constexpr int limit = max_nodes;
  if (c.nodes < 1 || possible_nodes(c) > limit)
    return wrong("{} nodes: write a number from 1 to {}",
                 c.nodes < 1 ? c.nodes : possible_nodes(c), limit);
  const auto topology = make_numa_topology(topology_spec(c));
  if (!topology) return std::unexpected{topology.error()};
  for (const auto& cpus : topology->node_cpus)
    for (const unsigned cpu : cpus)
      if (cpu >= topology->cpus())
        return wrong("CPU {} of {} in all: number them from 0 without a gap", cpu,
                     topology->cpus());
  return {};
}

check check_dimms(const machine_config& c) {
  if (c.dimms.size() > max_dimm_slots)
    return wrong("{} DIMMs: there are {} slots", c.dimms.size(), max_dimm_slots);
  std::uint64_t plugged = 0;
  for (const dimm_spec& dimm : c.dimms) {
    if (dimm.size == 0 || !is_aligned(dimm.size, c.block_size))
      return wrong("DIMM of {}: its size must be a multiple of the block size {}",
                   size_text(dimm.size), size_text(c.block_size));
    if (dimm.node < 0)
      return wrong("DIMM in node {}: write a node from 0 to {}", dimm.node,
                   max_nodes - 1);
    // Kept below a sum that would wrap: one byte too much says it all.
    plugged += std::min(dimm.size, c.max_memory + 1);
  }
  for (const dimm_spec& dax : c.dax) {
    if (dax.size == 0 || !is_aligned(dax.size, dax_align))
      return wrong("dax device of {}: its size must be a multiple of {}",
                   size_text(dax.size), size_text(dax_align));
    if (dax.node < 0)
      return wrong("dax device in node {}: write a node from 0 to {}", dax.node,
                   max_nodes - 1);
    // Each begins with a block.
    const std::uint64_t blocks = dax.size / c.block_size + (dax.size % c.block_size != 0);
    plugged += std::min(blocks * c.block_size, c.max_memory + 1);
  }
  const auto boot = boot_memory_map(c);
  const std::uint64_t start =
      std::max(boot.empty() ? 0 : boot.back().range.end().value, 4 * GiB);
  if (plugged != 0 && (start > c.max_memory || plugged > c.max_memory - start))
    return wrong(
        "DIMMs and dax devices of {} above {} do not fit below max memory {}: raise "
        "--max-memory",
        size_text(plugged), size_text(start), size_text(c.max_memory));
  return {};
}

check check_boot_memory(const machine_config& c) {
  // The first comparison keeps sums out of the map that would wrap around.
  if (c.memory > c.max_memory / static_cast<std::uint64_t>(c.nodes) ||
      boot_memory_map(c).back().range.end().value > c.max_memory)
    return wrong("{} nodes of {} do not fit below max memory {}: raise --max-memory",
                 c.nodes, size_text(c.memory), size_text(c.max_memory));
  if (c.movablecore >= c.memory * static_cast<std::uint64_t>(c.nodes))
    return wrong("movablecore {} leaves no memory to the kernel: write less than {}",
                 size_text(c.movablecore),
                 size_text(c.memory * static_cast<std::uint64_t>(c.nodes)));
  for (const std::uint64_t id : c.kernel_blocks)
    if (id >= c.max_memory / c.block_size || !boot_node_of(c, {id * c.block_size}))
      return wrong("kernel pages in block {}: there is no boot memory; write e.g. 0", id);
  return {};
}

check check_words(const machine_config& c) {
  if (!online_type_from(c.auto_online))
    return wrong(
        "auto-online '{}': write offline, online, online_kernel or "
        "online_movable",
        c.auto_online);
  if (!online_policy_from(c.online_policy))
    return wrong("online policy '{}': write contig-zones or auto-movable",
                 c.online_policy);
  return {};
}

}  // namespace

numa_topology_spec topology_spec(const machine_config& c) {
  numa_topology_spec spec{.nodes = possible_nodes(c),
                          .cpus = c.cpus,
                          .node_cpus = c.node_cpus,
                          .distances = c.distances};
  if (spec.node_cpus.empty()) {
    // CPUs go to the nodes that have memory at boot, in turn.
    spec.node_cpus.resize(static_cast<std::size_t>(std::max(c.nodes, 1)));
    for (unsigned cpu = 0; cpu < c.cpus; ++cpu)
      spec.node_cpus[cpu % spec.node_cpus.size()].push_back(cpu);
  }
  spec.node_cpus.resize(
      std::max(spec.node_cpus.size(), static_cast<std::size_t>(spec.nodes)));
  return spec;
}

std::optional<platform_kind> platform_from(std::string_view word) {
  using enum platform_kind;
  if (word == "none") return pc;
  if (word == "hyperv") return hyperv;
  if (word == "xen") return xen;
  if (word == "pseries") return pseries;
  return std::nullopt;
}

check validate(const machine_config& config) {
  for (const auto step :
       {check_sizes, check_nodes, check_boot_memory, check_dimms, check_words})
    if (auto ok = step(config); !ok) return ok;
  return {};
}

}  // namespace memhp
