// What must hold of a tree while nobody works on it, and bringing it back.
//
// Thread safety: none; nobody else may change the tree meanwhile.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "stress/findings.h"
#include "stress/tree.h"

namespace memhp::stress {

// The figures that invariants compare with.
struct tree_snapshot {
  std::vector<std::uint64_t> ids;
  std::uint64_t online_blocks = 0;
  std::uint64_t memory_kb = 0;     // MemTotal of all nodes
  std::uint64_t last_message = 0;  // sequence number of proc/kmsg
  std::size_t open_fds = 0;        // of this process
  std::string iomem;               // who has which addresses
};
tree_snapshot snapshot_of(const tree& sys);

// Every block is in one state that its files agree on, linked to one node and back;
// MemTotal has changed by the blocks that went online; no file of this process leaked;
// the kernel has not complained.
std::vector<finding> check_invariants(const tree& sys, const tree_snapshot& start);

// What the kernel has complained of since `start`, in its words; also while others work.
std::vector<finding> complaints_since(const tree& sys, const tree_snapshot& start);

// Puts every block into the state and zone that it had, removes what was added, turns
// CPUs on. Findings: what would not go back, and blocks that are left or lost.
std::vector<finding> bring_back(const tree& sys, const tree_snapshot& start);

}  // namespace memhp::stress
