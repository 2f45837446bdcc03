// The text of nodeN/meminfo, nodeN/numastat and nodeN/vmstat.
//
// Thread safety: any thread; made of counters that are kept. Mirrors node_read_meminfo(),
// node_read_numastat() and node_read_vmstat() (drivers/base/node.c, 6.1).
#pragma once

#include <string>

namespace memhp {

class node_device;

std::string node_meminfo(node_device& node);
std::string node_numastat(node_device& node);
std::string node_vmstat(node_device& node);

}  // namespace memhp
