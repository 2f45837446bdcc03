#include "locks/lock_graph.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace memhp {
namespace {

using enum read_kind;

TEST(LockGraph, KindOfAnEdgeIsHowItsEndsAreTaken) {
  EXPECT_EQ(dep_kind_of(write, write), dep_kind::en);
  EXPECT_EQ(dep_kind_of(write, read), dep_kind::en);
  EXPECT_EQ(dep_kind_of(write, recursive_read), dep_kind::er);
  EXPECT_EQ(dep_kind_of(read, write), dep_kind::sn);
  EXPECT_EQ(dep_kind_of(recursive_read, read), dep_kind::sn);
  EXPECT_EQ(dep_kind_of(read, recursive_read), dep_kind::sr);
}

TEST(LockGraph, AnEdgeIsNewOncePerKindAndKeepsItsFirstPayload) {
  lock_graph graph;
  using enum lock_graph::added;
  EXPECT_EQ(graph.add_edge(1, 2, dep_kind::en, 7), edge);
  EXPECT_EQ(graph.add_edge(1, 2, dep_kind::en, 8), nothing);
  EXPECT_EQ(graph.add_edge(1, 2, dep_kind::sr, 9), kind);
  ASSERT_EQ(graph.edges().size(), 1U);
  EXPECT_EQ(graph.edges()[0].payload, 7U);
  EXPECT_TRUE(graph.has_edge(1, 2, dep_kind::sr));
  EXPECT_FALSE(graph.has_edge(2, 1, dep_kind::en));
  EXPECT_FALSE(graph.has_edge(77, 1, dep_kind::en));
}

TEST(LockGraph, FindsTheShortestPath) {
  lock_graph graph;
  graph.add_edge(0, 1, dep_kind::en, 10);
  graph.add_edge(1, 2, dep_kind::en, 11);
  graph.add_edge(2, 3, dep_kind::en, 12);
  graph.add_edge(0, 3, dep_kind::en, 13);
  const auto path = graph.find_strong_path(0, write, 3, write);
  ASSERT_TRUE(path);
  ASSERT_EQ(path->size(), 1U);
  EXPECT_EQ(path->front().payload, 13U);
}

TEST(LockGraph, APathThroughARecursiveReadAndASharedHoldIsNotStrong) {
  lock_graph graph;
  graph.add_edge(0, 1, dep_kind::er, 0);  // waits for 1 to be read, which only a writer
  graph.add_edge(1, 2, dep_kind::sn, 0);  // keeps it from, and this one reads
  EXPECT_FALSE(graph.find_strong_path(0, write, 2, write));
  graph.add_edge(1, 2, dep_kind::en, 0);
  EXPECT_TRUE(graph.find_strong_path(0, write, 2, write));
}

TEST(LockGraph, ReachingANodeWeaklyFirstDoesNotHideAStrongWay) {
  lock_graph graph;
  graph.add_edge(0, 1, dep_kind::er, 0);  // found first: one step
  graph.add_edge(0, 2, dep_kind::en, 0);
  graph.add_edge(2, 1, dep_kind::en, 0);  // two steps, but strongly
  graph.add_edge(1, 3, dep_kind::sn, 0);
  const auto path = graph.find_strong_path(0, write, 3, write);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->size(), 3U);
}

TEST(LockGraph, CountsWhatCanBeReached) {
  lock_graph graph;
  graph.add_edge(0, 1, dep_kind::en, 0);
  graph.add_edge(1, 2, dep_kind::sr, 0);
  graph.add_edge(2, 0, dep_kind::en, 0);
  EXPECT_EQ(graph.count_forward(0), 3U);
  EXPECT_EQ(graph.count_backward(0), 3U);
  EXPECT_EQ(graph.count_forward(9), 1U);
}

// The edges on cycles, as "from to" words.
std::string cycles_of(const lock_graph& graph) {
  const std::vector<bool> on_cycle = graph.edges_on_cycles();
  EXPECT_EQ(on_cycle.size(), graph.edges().size());
  std::string text;
  for (std::size_t i = 0; i < on_cycle.size(); ++i)
    if (on_cycle[i])
      text += std::to_string(graph.edges()[i].from) +
              std::to_string(graph.edges()[i].to) + " ";
  return text;
}

TEST(LockGraph, ExactlyTheEdgesOfACycleAreOnOne) {
  lock_graph graph;
  graph.add_edge(0, 1, dep_kind::en, 0);  // leads to the cycle
  graph.add_edge(1, 2, dep_kind::en, 0);
  graph.add_edge(2, 3, dep_kind::sn, 0);
  graph.add_edge(3, 4, dep_kind::en, 0);  // leads away from it
  graph.add_edge(1, 3, dep_kind::en, 0);
  EXPECT_EQ(cycles_of(graph), "");
  graph.add_edge(3, 1, dep_kind::en, 0);
  EXPECT_EQ(cycles_of(graph), "12 23 13 31 ");
}

TEST(LockGraph, WhatCannotDeadlockIsNoCycle) {
  lock_graph graph;
  graph.add_edge(0, 1, dep_kind::sr, 0);
  graph.add_edge(1, 0, dep_kind::sr, 0);  // readers that may recurse
  EXPECT_EQ(cycles_of(graph), "");
  graph.add_edge(1, 0, dep_kind::en, 0);  // and once it was written
  EXPECT_EQ(cycles_of(graph), "01 10 ");
}

// --- against a naive model ------------------------------------------------------------

constexpr std::array kinds = {dep_kind::er, dep_kind::en, dep_kind::sr, dep_kind::sn};
constexpr std::array reads = {write, read, recursive_read};

struct known_edge {
  unsigned from, to;
  dep_kind kind;
};

bool ends_recursive(dep_kind kind) {
  return kind == dep_kind::er || kind == dep_kind::sr;
}
bool starts_shared(dep_kind kind) {
  return kind == dep_kind::sr || kind == dep_kind::sn;
}

// By the definition: walks every sequence of edges, and checks each pair of neighbours. A
// walk need not meet an edge twice. Exponential; the graphs are small. Calls
// visit(node, reached by a recursive read, length) wherever it gets.
template <class Visit>
void walk(const std::vector<known_edge>& edges, std::vector<bool>& used, unsigned at,
          bool recursively, std::size_t length, const Visit& visit) {
  visit(at, recursively, length);
  for (std::size_t i = 0; i < edges.size(); ++i) {
    if (used[i] || edges[i].from != at) continue;
    if (recursively && starts_shared(edges[i].kind)) continue;
    used[i] = true;
    walk(edges, used, edges[i].to, ends_recursive(edges[i].kind), length + 1, visit);
    used[i] = false;
  }
}

std::optional<std::size_t> naive_length(const std::vector<known_edge>& edges,
                                        unsigned from, read_kind wanted_as, unsigned to,
                                        read_kind held_as) {
  std::optional<std::size_t> shortest;
  std::vector<bool> used(edges.size());
  walk(edges, used, from, wanted_as == recursive_read, 0,
       [&](unsigned at, bool recursively, std::size_t length) {
         if (at == to && (held_as == write || !recursively))
           shortest = std::min(shortest.value_or(length), length);
       });
  return shortest;
}

std::size_t naive_reach(const std::vector<known_edge>& edges, unsigned from) {
  std::set<unsigned> nodes;
  std::vector<bool> used(edges.size());
  walk(edges, used, from, false, 0,
       [&](unsigned at, bool, std::size_t) { nodes.insert(at); });
  return nodes.size();
}

// The mirror image: a strong path backwards is one of the edges turned round, with the
// roles of "ends recursive" and "starts shared" exchanged.
std::vector<known_edge> turned_round(std::vector<known_edge> edges) {
  for (known_edge& edge : edges) {
    std::swap(edge.from, edge.to);
    if (edge.kind == dep_kind::er)
      edge.kind = dep_kind::sn;  // ends recursive -> starts shared
    else if (edge.kind == dep_kind::sn)
      edge.kind = dep_kind::er;
  }
  return edges;
}

struct random_graph {
  explicit random_graph(unsigned seed) : random{seed} {}

  unsigned pick(unsigned n) { return static_cast<unsigned>(random() % n); }
  // New nodes and edges.
  void renew(unsigned max_edges) {
    graph.clear();
    edges.clear();
    nodes = 2 + pick(5);
    for (unsigned n = pick(max_edges + 1); n > 0; --n)
      add({pick(nodes), pick(nodes), kinds[pick(4)]});
  }
  void add(const known_edge& edge) {
    if (graph.add_edge(edge.from, edge.to, edge.kind, payload_of(edge)) !=
        lock_graph::added::nothing)
      edges.push_back(edge);
  }
  static unsigned payload_of(const known_edge& edge) { return edge.from * 100 + edge.to; }

  std::mt19937 random;
  unsigned nodes = 0;
  lock_graph graph;
  std::vector<known_edge> edges;
};

class RandomGraphs : public testing::TestWithParam<unsigned> {};

#ifdef __SANITIZE_THREAD__
constexpr int graphs_per_seed = 40;
#else
constexpr int graphs_per_seed = 400;
#endif

TEST_P(RandomGraphs, HaveTheShortestStrongPathOfTheNaiveModel) {
  random_graph random{GetParam()};
  for (int round = 0; round < graphs_per_seed; ++round) {
    random.renew(10);
    ASSERT_TRUE(random.graph.check_invariants());
    const unsigned from = random.pick(random.nodes);
    const unsigned to = random.pick(random.nodes);
    const read_kind wanted_as = reads[random.pick(3)];
    const read_kind held_as = reads[random.pick(3)];
    const auto expected = naive_length(random.edges, from, wanted_as, to, held_as);
    const auto found = random.graph.find_strong_path(from, wanted_as, to, held_as);
    ASSERT_EQ(found.has_value(), expected.has_value()) << "round " << round;
    if (found) {
      ASSERT_EQ(found->size(), *expected) << "round " << round;
    }
  }
}

TEST_P(RandomGraphs, HaveTheNaiveModelsEdgesOnCycles) {
  random_graph random{GetParam()};
  for (int round = 0; round < graphs_per_seed; ++round) {
    random.renew(8);
    const std::vector<bool> found = random.graph.edges_on_cycles();
    std::vector<bool> expected(found.size());
    for (const known_edge& edge : random.edges)
      if (naive_length(random.edges, edge.to,
                       ends_recursive(edge.kind) ? recursive_read : write, edge.from,
                       starts_shared(edge.kind) ? read : write))
        expected[*random.graph.find_edge(edge.from, edge.to)] = true;
    ASSERT_EQ(found, expected) << "round " << round;
  }
}

TEST_P(RandomGraphs, GivePathsOfKnownEdgesOfFittingKinds) {
  random_graph random{GetParam()};
  for (int round = 0; round < graphs_per_seed; ++round) {
    random.renew(14);
    const unsigned from = random.pick(random.nodes);
    const unsigned to = random.pick(random.nodes);
    const auto found = random.graph.find_strong_path(from, write, to, read);
    if (!found || found->empty()) continue;
    EXPECT_EQ(found->front().from, from);
    EXPECT_EQ(found->back().to, to);
    EXPECT_FALSE(ends_recursive(found->back().kind));
    for (std::size_t i = 0; i < found->size(); ++i) {
      const lock_graph::step& step = (*found)[i];
      EXPECT_TRUE(random.graph.has_edge(step.from, step.to, step.kind));
      EXPECT_EQ(step.payload, random_graph::payload_of({step.from, step.to, step.kind}));
      if (i == 0) continue;
      EXPECT_EQ(step.from, (*found)[i - 1].to);
      EXPECT_FALSE(ends_recursive((*found)[i - 1].kind) && starts_shared(step.kind));
    }
  }
}

TEST_P(RandomGraphs, CountWhatStrongPathsReachInBothDirections) {
  random_graph random{GetParam()};
  for (int round = 0; round < graphs_per_seed; ++round) {
    random.renew(9);
    const std::vector<known_edge> back = turned_round(random.edges);
    for (unsigned node = 0; node < random.nodes; ++node) {
      ASSERT_EQ(random.graph.count_forward(node), naive_reach(random.edges, node));
      ASSERT_EQ(random.graph.count_backward(node), naive_reach(back, node));
    }
  }
}

// What lockdep relies on to tell new cycles from those with an old one inside.
TEST_P(RandomGraphs, WithoutAStrongCycleGivePathsThatMeetNoNodeTwice) {
  random_graph random{GetParam()};
  for (int round = 0; round < graphs_per_seed; ++round) {
    random.renew(0);
    for (int n = 0; n < 14; ++n) {
      const known_edge edge{random.pick(random.nodes), random.pick(random.nodes),
                            kinds[random.pick(4)]};
      const read_kind held_as = starts_shared(edge.kind) ? read : write;
      const read_kind wanted_as = ends_recursive(edge.kind) ? recursive_read : write;
      const auto path =
          random.graph.find_strong_path(edge.to, wanted_as, edge.from, held_as);
      if (!path) {
        random.add(edge);
        continue;
      }
      std::set<unsigned> met{edge.to};
      for (const lock_graph::step& step : *path)
        EXPECT_TRUE(met.insert(step.to).second) << "round " << round;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, testing::Range(1U, 13U));

}  // namespace
}  // namespace memhp
