// devices/system/node: the nodes as devices, and the files beside them.
//
// A node has a directory while it has CPUs or memory blocks. Its files answer without a
// lock, from counters that are kept, never counted per request.
//
// Mirrors drivers/base/node.c (6.1).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emu/device.h"
#include "emu/kernel.h"

namespace memhp {

class memory_block_device;

class node_device final : public device {
 public:
  node_device(kernel& k, const bus_type& bus, pglist_data& data);
  pglist_data& data;
};

class node_subsystem final : public device {
 public:
  explicit node_subsystem(kernel& k);

  const bus_type node_bus;
  // By node number; null while the node is not online.
  std::vector<std::unique_ptr<node_device>> devices;
};

// try_online_node(): true if the node was online already; otherwise it is now, but has
// no directory before register_node(). Requires mem_hotplug_lock.
bool try_online_node(kernel& k, int nid);
// Creates the node's directory and announces it.
void register_node(kernel& k, int nid);
// try_offline_node(): removes the node if it has neither memory blocks nor CPUs left.
void try_offline_node(kernel& k, int nid);

// The links memoryN/nodeM and nodeM/memoryN, there from add to remove.
void link_block_to_node(kernel& k, memory_block_device& block);
void unlink_block_from_node(kernel& k, memory_block_device& block);

// "0-2,5" of a list of numbers, as cpulist and `online` show it; and "00000000,00000005".
std::string format_list(const std::vector<unsigned>& numbers);
std::string format_mask(const std::vector<unsigned>& numbers, unsigned bits);

}  // namespace memhp
