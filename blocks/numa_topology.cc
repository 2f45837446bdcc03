#include "blocks/numa_topology.h"

#include <fmt/format.h>
#include <numa.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

namespace memhp {
namespace {

struct free_bitmask {
  void operator()(bitmask* mask) const { numa_bitmask_free(mask); }
};
using owned_bitmask = std::unique_ptr<bitmask, free_bitmask>;

std::vector<unsigned> cpus_of(int node) {
  std::vector<unsigned> cpus;
  const owned_bitmask mask{numa_allocate_cpumask()};
  if (mask == nullptr || numa_node_to_cpus(node, mask.get()) != 0) return cpus;
  for (unsigned cpu = 0; cpu < mask->size; ++cpu) {
    if (numa_bitmask_isbitset(mask.get(), cpu) != 0) cpus.push_back(cpu);
  }
  return cpus;
}

std::expected<void, std::string> check_cpus(const numa_topology_spec& spec) {
  if (spec.node_cpus.size() != static_cast<std::size_t>(spec.nodes)) {
    return std::unexpected{
        fmt::format("CPUs are given for {} nodes of {}: give one list "
                    "for every node",
                    spec.node_cpus.size(), spec.nodes)};
  }
  std::set<unsigned> seen;
  for (const auto& cpus : spec.node_cpus) {
    for (const unsigned cpu : cpus) {
      if (!seen.insert(cpu).second) {
        return std::unexpected{
            fmt::format("CPU {} is in two nodes: give every CPU to one node", cpu)};
      }
    }
  }
  if (seen.empty()) return std::unexpected{"no node has a CPU: give one a CPU"};
  return {};
}

std::expected<void, std::string> check_distances(const numa_topology_spec& spec) {
  const auto nodes = static_cast<std::size_t>(spec.nodes);
  const auto square = [&](const auto& row) { return row.size() == nodes; };
  if (spec.distances.size() != nodes || !std::ranges::all_of(spec.distances, square)) {
    return std::unexpected{fmt::format(
        "the distances are not {0} rows of {0}: give one for every pair of nodes",
        nodes)};
  }
  for (std::size_t from = 0; from < nodes; ++from) {
    for (std::size_t to = 0; to < nodes; ++to) {
      const int distance = spec.distances[from][to];
      const bool valid = from == to ? distance == local_distance
                                    : distance > local_distance && distance <= 255;
      if (valid) continue;
      return std::unexpected{fmt::format(
          "distance {} from node {} to node {}: give 10 for a node to itself and 11 to "
          "255 between two",
          distance, from, to)};
    }
  }
  return {};
}

}  // namespace

host_topology host_topology::detect() {
  host_topology host;
  if (numa_available() < 0) return host;
  const owned_bitmask allowed{numa_get_mems_allowed()};
  for (int id = 0; id <= numa_max_node(); ++id) {
    if (numa_bitmask_isbitset(numa_nodes_ptr, static_cast<unsigned>(id)) == 0) continue;
    const bool usable =
        allowed != nullptr &&
        numa_bitmask_isbitset(allowed.get(), static_cast<unsigned>(id)) != 0;
    const long long memory = usable ? numa_node_size64(id, nullptr) : 0;
    host.nodes.push_back({.id = id,
                          .memory = static_cast<std::uint64_t>(std::max(0LL, memory)),
                          .cpus = cpus_of(id)});
  }
  return host;
}

std::vector<int> host_topology::memory_nodes() const {
  std::vector<int> ids;
  for (const host_node& node : nodes) {
    if (node.memory > 0) ids.push_back(node.id);
  }
  std::ranges::sort(ids);
  return ids;
}

std::optional<int> backing_node(const host_topology& host, int nid) {
  const std::vector<int> ids = host.memory_nodes();
  if (ids.size() < 2 || nid < 0) return std::nullopt;
  return ids[static_cast<std::size_t>(nid) % ids.size()];
}

unsigned numa_topology::cpus() const {
  std::size_t count = 0;
  for (const auto& cpus : node_cpus) count += cpus.size();
  return static_cast<unsigned>(count);
}

std::expected<numa_topology, std::string> make_numa_topology(numa_topology_spec spec) {
  if (spec.nodes < 1) return std::unexpected{"a machine without nodes: give at least 1"};
  const auto nodes = static_cast<std::size_t>(spec.nodes);
  if (spec.node_cpus.empty()) {
    spec.node_cpus.resize(nodes);
    for (unsigned cpu = 0; cpu < spec.cpus; ++cpu) {
      spec.node_cpus[cpu % nodes].push_back(cpu);
    }
  }
  if (spec.distances.empty()) {
    spec.distances.assign(nodes, std::vector<int>(nodes, remote_distance));
    for (std::size_t i = 0; i < nodes; ++i) spec.distances[i][i] = local_distance;
  }
  for (const auto check : {check_cpus, check_distances}) {
    if (auto checked = check(spec); !checked) return std::unexpected{checked.error()};
  }
  return numa_topology{.node_cpus = std::move(spec.node_cpus),
                       .distances = std::move(spec.distances)};
}

}  // namespace memhp
