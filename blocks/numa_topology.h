// Two topologies: the host's nodes, whose memory is real, and the machine's nodes,
// which are spread over them. Both are plain values, so that two sockets can be tested
// on one.
//
// Thread safety: values without hidden state; host_topology::detect() may be called by
// any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace memhp {

// A node of the host that this process may use.
struct host_node {
  int id = 0;
  std::uint64_t memory = 0;  // bytes in all; 0: a node without memory
  std::vector<unsigned> cpus;
};

struct host_topology {
  std::vector<host_node> nodes;

  // This host as libnuma sees it, less the nodes that the process's cpuset forbids.
  // Without nodes where the kernel has no NUMA support.
  static host_topology detect();

  // Ids of the nodes that have memory, ascending.
  std::vector<int> memory_nodes() const;
};

// The host node that backs node `nid` of the machine: the machine's nodes are dealt out
// to the host's nodes with memory in turn. None where there is nothing to choose from:
// the memory then needs no binding.
std::optional<int> backing_node(const host_topology& host, int nid);

// A distance of a node to itself, and the one assumed between two nodes
// (include/linux/topology.h).
inline constexpr int local_distance = 10;
inline constexpr int remote_distance = 20;

// The machine's nodes.
struct numa_topology {
  std::vector<std::vector<unsigned>> node_cpus;  // by node; empty: a CPU-less node
  std::vector<std::vector<int>> distances;       // [from][to]

  int nodes() const { return static_cast<int>(node_cpus.size()); }
  // CPUs in all.
  unsigned cpus() const;
  int distance(int from, int to) const {
    return distances[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
  }
  bool has_cpu(int nid) const {
    return !node_cpus[static_cast<std::size_t>(nid)].empty();
  }
};

// What a topology is made from; whatever is left empty is filled in.
struct numa_topology_spec {
  int nodes = 1;
  unsigned cpus = 1;  // dealt out to the nodes in turn where `node_cpus` is empty
  std::vector<std::vector<unsigned>> node_cpus;
  std::vector<std::vector<int>> distances;
};

// The error is one line that says what to write instead: no nodes, a CPU in two nodes,
// a matrix that is not square, a distance that a SLIT could not hold
// (drivers/acpi/numa/srat.c, slit_valid(): 10 on the diagonal, 11 to 255 elsewhere).
std::expected<numa_topology, std::string> make_numa_topology(numa_topology_spec spec);

}  // namespace memhp
