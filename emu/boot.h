// The memory that is there at boot: where it lies, and the blocks made of it.
//
// Laid out as on an x86-64 PC: RAM from 0, all of it below 4 GiB if it is not more than
// 2.75 GiB, else 2 GiB below and the rest from 4 GiB on; node after node.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "blocks/numa_topology.h"
#include "blocks/units.h"
#include "emu/kernel.h"
#include "emu/machine.h"

namespace memhp {

// Boot memory of one node without a gap; a node may have two of them.
struct boot_range {
  phys_range range;
  int nid = 0;
};

// Ascending; never empty for a configuration with sizes that fit.
std::vector<boot_range> boot_memory_map(const machine_config& config);

// Node that the boot memory map names for an address; none outside of it.
std::optional<int> boot_node_of(const machine_config& config, phys_addr at);

numa_topology_spec topology_spec(const machine_config& config);

// Claims the addresses that are never memory, gives boot memory its pages and its
// blocks. The error is one line.
std::expected<void, std::string> boot_memory(kernel& k);

}  // namespace memhp
