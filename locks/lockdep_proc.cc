// What was learned, as snapshots: for tests, drawings and the texts of /proc.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "locks/lockdep_internal.h"

namespace memhp::lockdep {

using detail::validator;

counters count() {
  const std::vector<lock_class*> classes = registered_lock_classes();
  validator& all = validator::instance();
  const guard hold{all.lock};
  counters made = all.count;
  made.classes = classes.size();
  made.direct_dependencies = all.graph.edges().size();
  for (const lock_class* cls : classes)
    made.indirect_dependencies += all.graph.count_forward(cls->id) - 1;
  made.chains = all.chains.size();
  made.stack_traces = all.stacks.size();
  return made;
}

std::vector<dependency> dependencies() {
  validator& all = validator::instance();
  const guard hold{all.lock};
  std::vector<dependency> made;
  for (std::size_t i = 0; i < all.graph.edges().size(); ++i) {
    const lock_graph::edge& edge = all.graph.edges()[i];
    made.push_back({.from = edge.from,
                    .to = edge.to,
                    .kinds = edge.kinds,
                    .direct = edge.direct,
                    .closes_cycle = all.edges[i].closes_cycle});
  }
  return made;
}

std::vector<std::vector<std::uint32_t>> chains() {
  validator& all = validator::instance();
  const guard hold{all.lock};
  return all.chains;
}

// The limits are those that the tables have now: they grow before they are reached. The
// kernel counts each dependency twice, once at either end.
lockdep_snapshot snapshot() {
  const std::vector<lock_class*> classes = registered_lock_classes();
  std::unordered_map<std::uint32_t, std::size_t> place_of;
  for (std::size_t i = 0; i < classes.size(); ++i) place_of.emplace(classes[i]->id, i);

  validator& all = validator::instance();
  const guard hold{all.lock};
  lockdep_snapshot made;
  for (const lock_class* cls : classes) {
    proc_class shown{.lock = cls->described(), .key = cls->key};
    shown.forward = all.graph.count_forward(cls->id);
    shown.backward = all.graph.count_backward(cls->id);
    for (const std::uint32_t i : all.graph.edges_from(cls->id)) {
      const lock_graph::edge& edge = all.graph.edges()[i];
      const auto place = place_of.find(edge.to);
      if (edge.direct && place != place_of.end())
        shown.successors.push_back(place->second);
    }
    made.classes.push_back(std::move(shown));
  }
  for (const auto& chain : all.chains) {
    proc_chain shown;
    for (const std::uint32_t id : chain)
      if (const auto place = place_of.find(id); place != place_of.end())
        shown.push_back(place->second);
    made.chains.push_back(std::move(shown));
  }
  const auto level = [](std::uint64_t used) {
    return proc_level{.used = used, .max = std::bit_ceil(used + 1)};
  };
  made.max_classes = std::bit_ceil(classes.size() + 1);
  made.direct_dependencies = level(2 * all.graph.edges().size());
  made.dependency_chains = {.used = all.chains.size(), .max = all.known.capacity()};
  made.chain_hlocks = level(all.count.chain_hlocks);
  made.stack_trace_entries = level(all.stacks.entries());
  made.stack_traces = all.stacks.size();
  made.stack_hash_chains = all.stacks.hash_chains();
  made.max_depth = all.count.max_depth;
  made.chain_lookup_misses = all.count.chain_misses;
  made.cyclic_checks = all.count.cyclic_checks;
  made.debug_locks = on();
  return made;
}

std::vector<lock_stat_row> lock_stat_rows() {
  std::vector<lock_stat_row> rows;
  for (const lock_class* cls : registered_lock_classes())
    rows.push_back({.lock = cls->described(), .stats = lock_stat::snapshot(cls->id)});
  return rows;
}

}  // namespace memhp::lockdep
