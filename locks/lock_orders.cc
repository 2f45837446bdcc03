#include "locks/lock_orders.h"

#include <unordered_map>

#include "locks/lockdep_internal.h"

namespace memhp::lockdep {

using detail::validator;

lock_orders orders() {
  const std::vector<lock_class*> classes = registered_lock_classes();
  std::unordered_map<std::uint32_t, std::size_t> place_of;
  lock_orders made;
  for (const lock_class* cls : classes) {
    place_of.emplace(cls->id, made.classes.size());
    made.classes.push_back(cls->described());
  }
  validator& all = validator::instance();
  const guard hold{all.lock};
  const std::vector<bool> on_cycle = all.graph.edges_on_cycles();
  for (std::size_t i = 0; i < all.edges.size(); ++i) {
    const lock_graph::edge& edge = all.graph.edges()[i];
    const auto held = place_of.find(edge.from);
    const auto wanted = place_of.find(edge.to);
    // Registered since we looked.
    if (held == place_of.end() || wanted == place_of.end()) continue;
    made.orders.push_back({.held = held->second,
                           .wanted = wanted->second,
                           .modes = all.edges[i].modes,
                           .on_cycle = on_cycle[i],
                           .held_at = {.ip = all.edges[i].held_at},
                           .wanted_at = all.stacks.at(edge.payload)});
  }
  return made;
}

}  // namespace memhp::lockdep
