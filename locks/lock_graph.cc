#include "locks/lock_graph.h"

#include <algorithm>
#include <array>
#include <utility>

namespace memhp {
namespace {

constexpr std::uint8_t shared_start = mask(dep_kind::sr) | mask(dep_kind::sn);
constexpr std::uint8_t not_recursive = mask(dep_kind::en) | mask(dep_kind::sn);

const std::vector<lock_graph::edge> no_edges;

// A node as a search meets it: strongly, or only by edges into a recursive read (the
// kernel's only_xr).
struct visit {
  lock_graph::node at;
  bool weakly;
};

// Where a visit came from, to walk the path back.
struct origin {
  std::size_t parent;
  unsigned payload;
};

std::vector<lock_graph::step> path_to(std::size_t end, const std::vector<visit>& visits,
                                      const std::vector<origin>& origins) {
  std::vector<lock_graph::step> path;
  for (std::size_t i = end; i != 0; i = origins[i].parent)
    path.push_back({visits[origins[i].parent].at, visits[i].at, origins[i].payload});
  std::ranges::reverse(path);
  return path;
}

}  // namespace

const std::vector<lock_graph::edge>& lock_graph::edges_from(node from) const {
  return from < out_.size() ? out_[from] : no_edges;
}

bool lock_graph::has_edge(node from, node to, dep_kind kind) const {
  return std::ranges::any_of(edges_from(from), [&](const edge& known) {
    return known.to == to && (known.kinds & mask(kind)) != 0;
  });
}

bool lock_graph::add_edge(node from, node to, dep_kind kind, unsigned payload) {
  if (from >= out_.size()) out_.resize(from + 1);
  for (edge& known : out_[from]) {
    if (known.to != to) continue;
    const bool is_new = (known.kinds & mask(kind)) == 0;
    known.kinds |= mask(kind);
    return is_new;
  }
  out_[from].push_back({.to = to, .kinds = mask(kind), .payload = payload});
  ++edges_;
  return true;
}

std::optional<std::vector<lock_graph::step>> lock_graph::find_strong_path(
    node wanted, read_kind wanted_as, node held, read_kind held_as) const {
  std::vector<visit> queue{{wanted, wanted_as == read_kind::recursive_read}};
  std::vector<origin> origins{{0, 0}};
  std::vector<std::array<bool, 2>> seen(std::max<std::size_t>(out_.size(), wanted + 1));
  seen[wanted][queue[0].weakly ? 1 : 0] = true;

  for (std::size_t next = 0; next < queue.size(); ++next) {
    const visit from = queue[next];
    // The new edge leaves `held` as it is held: a shared hold must not follow a weak end.
    if (from.at == held && (held_as == read_kind::write || !from.weakly))
      return path_to(next, queue, origins);
    for (const edge& out : edges_from(from.at)) {
      const unsigned strong = from.weakly ? out.kinds & ~shared_start : out.kinds;
      if (strong == 0) continue;
      const bool weakly = (strong & not_recursive) == 0;
      if (out.to >= seen.size()) seen.resize(out.to + 1);
      if (std::exchange(seen[out.to][weakly ? 1 : 0], true)) continue;
      queue.push_back({out.to, weakly});
      origins.push_back({next, out.payload});
    }
  }
  return std::nullopt;
}

std::size_t lock_graph::count_reachable(node from) const {
  std::vector<bool> seen(std::max<std::size_t>(out_.size(), from + 1));
  std::vector<node> queue{from};
  seen[from] = true;
  for (std::size_t next = 0; next < queue.size(); ++next)
    for (const edge& out : edges_from(queue[next])) {
      if (out.to >= seen.size()) seen.resize(out.to + 1);
      if (seen[out.to]) continue;
      seen[out.to] = true;
      queue.push_back(out.to);
    }
  return queue.size();
}

void lock_graph::clear() {
  out_.clear();
  edges_ = 0;
}

}  // namespace memhp
