#include "locks/lock_graph.h"

#include <algorithm>
#include <array>
#include <utility>

namespace memhp {
namespace {

constexpr std::uint8_t shared_start = mask(dep_kind::sr) | mask(dep_kind::sn);
constexpr std::uint8_t not_recursive = mask(dep_kind::en) | mask(dep_kind::sn);

// A node as a search meets it: strongly, or only by an edge into a recursive read (the
// kernel's only_xr). Reached strongly it leads everywhere that it leads to reached
// weakly.
struct visit {
  lock_graph::node at;
  bool weakly;
  std::size_t parent;  // where in the queue it came from
  std::uint32_t edge;
  std::uint8_t kinds;  // of the edge, that fit what came before
};

// Which visits there were. Sized when a node is met: the graph need not know them all.
class visited {
 public:
  // True the first time, unless the node was reached strongly before.
  bool insert(lock_graph::node at, bool weakly) {
    if (at >= seen_.size()) seen_.resize(at + 1);
    const std::uint8_t before = seen_[at];
    seen_[at] |= weakly ? 1 : 2;
    return (before & (weakly ? 3 : 2)) == 0;
  }

 private:
  std::vector<std::uint8_t> seen_;
};

// One kind of those that a visit may have used: a strong one if there is one.
dep_kind kind_used(std::uint8_t kinds) {
  const std::uint8_t preferred =
      (kinds & not_recursive) != 0 ? kinds & not_recursive : kinds;
  return static_cast<dep_kind>(preferred & -preferred);
}

std::span<const std::uint32_t> list_at(
    const std::vector<std::vector<std::uint32_t>>& lists, lock_graph::node at) {
  return at < lists.size() ? std::span<const std::uint32_t>{lists[at]}
                           : std::span<const std::uint32_t>{};
}

}  // namespace

std::span<const std::uint32_t> lock_graph::edges_from(node from) const {
  return list_at(out_, from);
}

std::span<const std::uint32_t> lock_graph::edges_to(node to) const {
  return list_at(in_, to);
}

std::optional<std::uint32_t> lock_graph::find_edge(node from, node to) const {
  const auto known = index_.find(pair_of(from, to));
  return known == index_.end() ? std::nullopt : std::optional{known->second};
}

bool lock_graph::has_edge(node from, node to, dep_kind kind) const {
  const auto known = find_edge(from, to);
  return known && (edges_[*known].kinds & mask(kind)) != 0;
}

lock_graph::added lock_graph::add_edge(node from, node to, dep_kind kind,
                                       unsigned payload, bool direct) {
  const auto next = static_cast<std::uint32_t>(edges_.size());
  const auto [place, is_new] = index_.try_emplace(pair_of(from, to), next);
  if (!is_new) {
    edge& known = edges_[place->second];
    known.direct = known.direct || direct;
    if ((known.kinds & mask(kind)) != 0) return added::nothing;
    known.kinds |= mask(kind);
    return added::kind;
  }
  edges_.push_back({.from = from,
                    .to = to,
                    .kinds = mask(kind),
                    .direct = direct,
                    .payload = payload});
  if (from >= out_.size()) out_.resize(from + 1);
  if (to >= in_.size()) in_.resize(to + 1);
  out_[from].push_back(next);
  in_[to].push_back(next);
  return added::edge;
}

std::optional<std::vector<lock_graph::step>> lock_graph::find_strong_path(
    node wanted, read_kind wanted_as, node held, read_kind held_as,
    std::span<const std::uint32_t> without) const {
  std::vector<visit> queue{{.at = wanted,
                            .weakly = wanted_as == read_kind::recursive_read,
                            .parent = 0,
                            .edge = 0,
                            .kinds = 0}};
  visited seen;
  seen.insert(wanted, queue[0].weakly);

  for (std::size_t next = 0; next < queue.size(); ++next) {
    const visit from = queue[next];
    // The new edge leaves `held` as it is held: a shared hold must not follow a weak end.
    if (from.at == held && (held_as == read_kind::write || !from.weakly)) {
      std::vector<step> path;
      for (std::size_t i = next; i != 0; i = queue[i].parent) {
        const edge& used = edges_[queue[i].edge];
        path.push_back({.from = used.from,
                        .to = used.to,
                        .kind = kind_used(queue[i].kinds),
                        .payload = used.payload});
      }
      std::ranges::reverse(path);
      return path;
    }
    for (const std::uint32_t i : edges_from(from.at)) {
      const std::uint8_t fit =
          from.weakly ? edges_[i].kinds & ~shared_start : edges_[i].kinds;
      if (fit == 0 || std::ranges::find(without, i) != without.end()) continue;
      const bool weakly = (fit & not_recursive) == 0;
      if (!seen.insert(edges_[i].to, weakly)) continue;
      queue.push_back({edges_[i].to, weakly, next, i, fit});
    }
  }
  return std::nullopt;
}

// An edge is on a cycle if adding it, in one of the ways in which it was seen, would
// close one.
std::vector<bool> lock_graph::edges_on_cycles() const {
  const auto closes = [&](const edge& e, dep_kind kind) {
    if ((e.kinds & mask(kind)) == 0) return false;
    const bool shared = (mask(kind) & shared_start) != 0;
    const bool recursive = (mask(kind) & not_recursive) == 0;
    return find_strong_path(e.to,
                            recursive ? read_kind::recursive_read : read_kind::write,
                            e.from, shared ? read_kind::read : read_kind::write)
        .has_value();
  };
  std::vector<bool> on_cycle;
  on_cycle.reserve(edges_.size());
  for (const edge& e : edges_) {
    using enum dep_kind;
    on_cycle.push_back(closes(e, en) || closes(e, er) || closes(e, sn) || closes(e, sr));
  }
  return on_cycle;
}

std::size_t lock_graph::count_forward(node from) const {
  struct reached {
    node at;
    bool weakly;
  };
  std::vector<reached> queue{{from, false}};
  visited seen;
  seen.insert(from, false);
  std::vector<node> nodes{from};
  for (std::size_t next = 0; next < queue.size(); ++next)
    for (const std::uint32_t i : edges_from(queue[next].at)) {
      const std::uint8_t kinds = edges_[i].kinds;
      const std::uint8_t fit = queue[next].weakly ? kinds & ~shared_start : kinds;
      const bool weakly = (fit & not_recursive) == 0;
      if (fit == 0 || !seen.insert(edges_[i].to, weakly)) continue;
      queue.push_back({edges_[i].to, weakly});
      nodes.push_back(edges_[i].to);
    }
  std::ranges::sort(nodes);
  return nodes.size() - std::ranges::unique(nodes).size();
}

// The mirror image: weakly means that what follows starts with a shared hold only, so
// that an edge which comes before must not end in a recursive read.
std::size_t lock_graph::count_backward(node to) const {
  struct reached {
    node at;
    bool weakly;
  };
  std::vector<reached> queue{{to, false}};
  visited seen;
  seen.insert(to, false);
  std::vector<node> nodes{to};
  for (std::size_t next = 0; next < queue.size(); ++next)
    for (const std::uint32_t i : edges_to(queue[next].at)) {
      const std::uint8_t kinds = edges_[i].kinds;
      const std::uint8_t fit = queue[next].weakly ? kinds & not_recursive : kinds;
      const bool weakly = (fit & ~shared_start) == 0;
      if (fit == 0 || !seen.insert(edges_[i].from, weakly)) continue;
      queue.push_back({edges_[i].from, weakly});
      nodes.push_back(edges_[i].from);
    }
  std::ranges::sort(nodes);
  return nodes.size() - std::ranges::unique(nodes).size();
}

void lock_graph::clear() {
  edges_.clear();
  out_.clear();
  in_.clear();
  index_.clear();
}

bool lock_graph::check_invariants() const {
  if (index_.size() != edges_.size()) return false;
  for (std::uint32_t i = 0; i < edges_.size(); ++i) {
    const edge& here = edges_[i];
    const auto indexed = index_.find(pair_of(here.from, here.to));
    if (indexed == index_.end() || indexed->second != i || here.kinds == 0 ||
        std::ranges::count(edges_from(here.from), i) != 1 ||
        std::ranges::count(edges_to(here.to), i) != 1)
      return false;
  }
  return true;
}

}  // namespace memhp
