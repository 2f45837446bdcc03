#include "locks/lock_graph.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
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

// --- against a naive model ------------------------------------------------------------

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

// By the definition: walks every sequence of edges, and checks each pair of neighbours.
// A walk need not meet an edge twice. Exponential; the graphs are small.
bool naive_path(const std::vector<known_edge>& edges, std::vector<bool>& used,
                unsigned at, bool reached_recursively, unsigned target,
                read_kind held_as) {
  if (at == target && (held_as == write || !reached_recursively)) return true;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    if (used[i] || edges[i].from != at) continue;
    if (reached_recursively && starts_shared(edges[i].kind)) continue;
    used[i] = true;
    const bool found = naive_path(edges, used, edges[i].to, ends_recursive(edges[i].kind),
                                  target, held_as);
    used[i] = false;
    if (found) return true;
  }
  return false;
}

class RandomGraphs : public testing::TestWithParam<unsigned> {};

TEST_P(RandomGraphs, AgreeWithTheNaiveModel) {
  std::mt19937 random{GetParam()};
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  constexpr std::array kinds = {dep_kind::er, dep_kind::en, dep_kind::sr, dep_kind::sn};
  constexpr std::array reads = {write, read, recursive_read};
  for (int round = 0; round < 300; ++round) {
    const unsigned nodes = 2 + pick(5);
    lock_graph graph;
    std::vector<known_edge> edges;
    for (unsigned n = pick(10); n > 0; --n) {
      const known_edge edge{pick(nodes), pick(nodes), kinds[pick(4)]};
      if (graph.add_edge(edge.from, edge.to, edge.kind, 0) != lock_graph::added::nothing)
        edges.push_back(edge);
    }
    const unsigned from = pick(nodes);
    const unsigned to = pick(nodes);
    const read_kind wanted_as = reads[pick(3)];
    const read_kind held_as = reads[pick(3)];
    std::vector<bool> used(edges.size());
    const bool expected =
        naive_path(edges, used, from, wanted_as == recursive_read, to, held_as);
    const auto found = graph.find_strong_path(from, wanted_as, to, held_as);
    ASSERT_EQ(found.has_value(), expected) << "round " << round;
    // What was found is a path of known edges.
    for (std::size_t i = 0; found && i < found->size(); ++i) {
      EXPECT_EQ((*found)[i].from, i == 0 ? from : (*found)[i - 1].to);
      EXPECT_TRUE(std::ranges::any_of(edges, [&](const known_edge& edge) {
        return edge.from == (*found)[i].from && edge.to == (*found)[i].to;
      }));
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, testing::Range(1U, 11U));

}  // namespace
}  // namespace memhp
