// The graph of lock dependencies, and the search for cycles that can deadlock.
//
// An edge from A to B says: somebody held A and wanted B. How it was held and wanted is
// kept with it, because not every cycle is a deadlock: readers that may recurse wait for
// nobody but a writer who has the lock. A path is strong if no edge into a recursive read
// is followed by an edge out of a shared hold; only a strong cycle can deadlock.
//
// A pure data structure: no locking inside, nodes are numbers. Adding an edge is
// O(edges out of its start), a search visits each edge at most twice.
//
// Mirrors the dependency bits, __bfs() and check_noncircular() of
// kernel/locking/lockdep.c (5.10 and later). Where the kernel visits a node once, this
// search visits it once reached strongly and once weakly, and so misses no strong path.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "locks/lock_class.h"

namespace memhp {

// What an edge was seen as. First letter: the start was held Exclusively or Shared.
// Second: the end was wanted as Recursive read or Not (a write or a plain read).
enum class dep_kind : std::uint8_t { er = 1, en = 2, sr = 4, sn = 8 };

constexpr dep_kind dep_kind_of(read_kind held, read_kind wanted) {
  const bool shared = held != read_kind::write;
  const bool recursive = wanted == read_kind::recursive_read;
  if (shared) return recursive ? dep_kind::sr : dep_kind::sn;
  return recursive ? dep_kind::er : dep_kind::en;
}
constexpr std::uint8_t mask(dep_kind kind) {
  return static_cast<std::uint8_t>(kind);
}

class lock_graph {
 public:
  using node = unsigned;
  struct edge {
    node to;
    std::uint8_t kinds;  // dep_kinds seen
    unsigned payload;    // of the first time: the caller's, e.g. where a stack is kept
  };
  struct step {
    node from;
    node to;
    unsigned payload;
  };

  // Nodes come into being when an edge names them.
  bool has_edge(node from, node to, dep_kind kind) const;
  // Adds a kind to the edge; false if that was known. `payload` is kept if the edge is
  // new.
  bool add_edge(node from, node to, dep_kind kind, unsigned payload);

  // A task holds `held` (as held_as) and wants `wanted` (as wanted_as). If that closes a
  // strong cycle: the shortest path of known edges from `wanted` to `held`; empty if the
  // two are one node. Otherwise nothing.
  std::optional<std::vector<step>> find_strong_path(node wanted, read_kind wanted_as,
                                                    node held, read_kind held_as) const;

  std::size_t edges() const { return edges_; }
  const std::vector<edge>& edges_from(node from) const;
  // Nodes that can be reached from `from`, itself included.
  std::size_t count_reachable(node from) const;
  void clear();

 private:
  std::vector<std::vector<edge>> out_;
  std::size_t edges_ = 0;
};

}  // namespace memhp
