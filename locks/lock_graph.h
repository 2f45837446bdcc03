// The graph of lock dependencies, and the search for cycles that can deadlock.
//
// An edge from A to B says: somebody held A and wanted B. How it was held and wanted is
// kept with it, because not every cycle is a deadlock: readers that may recurse wait for
// nobody but a writer who has the lock. A path is strong if no edge into a recursive read
// is followed by an edge out of a shared hold; only a strong cycle can deadlock.
//
// Invariants (check_invariants() tests them):
//   1. There is one edge from a node to another; it has at least one kind.
//   2. An edge is in the list of its start, in that of its end, and in the index.
//   3. Edges keep their place, in the order in which they were added.
//
// Thread safety: none. A pure data structure, no locking inside; nodes are small numbers
// that come into being when an edge names them. Adding or finding an edge is O(1)
// expected; a search visits each edge at most twice.
//
// Mirrors the dependency bits, __bfs() and check_noncircular() of
// kernel/locking/lockdep.c (5.10 and later). Where the kernel visits a node once, this
// search visits it once reached strongly and once weakly, and so misses no strong path.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
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
  using node = std::uint32_t;
  struct edge {
    node from;
    node to;
    std::uint8_t kinds;  // dep_kinds seen
    bool direct;         // at least once nothing was held in between
    unsigned payload;    // of the first time: the caller's, e.g. where a stack is kept
  };
  // An edge of a path, and the kind by which the path uses it.
  struct step {
    node from;
    node to;
    dep_kind kind;
    unsigned payload;
  };
  // Edges added or widened by add_edge().
  enum class added : std::uint8_t { nothing, kind, edge };

  // Where it is in edges().
  std::optional<std::uint32_t> find_edge(node from, node to) const;
  bool has_edge(node from, node to, dep_kind kind) const;
  // `payload` is kept if the edge is new; `direct` is kept if it was ever true.
  added add_edge(node from, node to, dep_kind kind, unsigned payload, bool direct = true);

  // A task holds `held` (as held_as) and wants `wanted` (as wanted_as). If that closes a
  // strong cycle: the shortest walk of known edges from `wanted` to `held`; empty if the
  // two are one node. Otherwise nothing. The walk visits no node twice unless the graph
  // has a strong cycle already, and takes no edge of `without` (indices into edges()).
  std::optional<std::vector<step>> find_strong_path(
      node wanted, read_kind wanted_as, node held, read_kind held_as,
      std::span<const std::uint32_t> without = {}) const;

  // Whether the edge is on a strong cycle, for each of edges().
  std::vector<bool> edges_on_cycles() const;

  std::span<const edge> edges() const { return edges_; }
  // Indices into edges().
  std::span<const std::uint32_t> edges_from(node from) const;
  std::span<const std::uint32_t> edges_to(node to) const;
  // Nodes on strong paths from and to this one, itself included.
  std::size_t count_forward(node from) const;
  std::size_t count_backward(node to) const;

  void clear();
  bool check_invariants() const;

 private:
  static std::uint64_t pair_of(node from, node to) {
    return std::uint64_t{from} << 32 | to;
  }

  std::vector<edge> edges_;
  std::vector<std::vector<std::uint32_t>> out_;
  std::vector<std::vector<std::uint32_t>> in_;
  std::unordered_map<std::uint64_t, std::uint32_t> index_;  // (from, to) -> edge
};

}  // namespace memhp
