#include "blocks/numa_topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const host_topology two_sockets = {.nodes = {{.id = 0, .memory = 64, .cpus = {0}},
                                             {.id = 1, .memory = 64, .cpus = {1}}}};

TEST(HostTopology, FindsTheNodesOfThisHost) {
  const auto host = host_topology::detect();
  if (host.nodes.empty()) GTEST_SKIP() << "the kernel has no NUMA support";
  EXPECT_THAT(host.memory_nodes(), testing::Not(IsEmpty()));
  std::size_t cpus = 0;
  for (const auto& node : host.nodes) cpus += node.cpus.size();
  EXPECT_GE(cpus, static_cast<std::size_t>(sysconf(_SC_NPROCESSORS_ONLN)));
}

TEST(BackingNode, DealsNodesOutInTurn) {
  EXPECT_EQ(backing_node(two_sockets, 0), 0);
  EXPECT_EQ(backing_node(two_sockets, 1), 1);
  EXPECT_EQ(backing_node(two_sockets, 2), 0);
  EXPECT_EQ(backing_node(two_sockets, 5), 1);
}

TEST(BackingNode, LeavesOutNodesWithoutMemory) {
  const host_topology host = {.nodes = {{.id = 0, .memory = 64},
                                        {.id = 3, .memory = 0, .cpus = {0, 1}},
                                        {.id = 7, .memory = 64}}};
  EXPECT_EQ(backing_node(host, 0), 0);
  EXPECT_EQ(backing_node(host, 1), 7);
}

TEST(BackingNode, IsNoneWhereThereIsNothingToChoose) {
  EXPECT_EQ(backing_node({}, 0), std::nullopt);
  EXPECT_EQ(backing_node({.nodes = {{.id = 0, .memory = 64}}}, 3), std::nullopt);
  EXPECT_EQ(backing_node(two_sockets, -1), std::nullopt);
}

TEST(NumaTopology, DealsCpusOutAndFillsDistances) {
  const auto topology = make_numa_topology({.nodes = 2, .cpus = 3});
  ASSERT_TRUE(topology);
  EXPECT_THAT(topology->node_cpus, ElementsAre(ElementsAre(0, 2), ElementsAre(1)));
  EXPECT_THAT(topology->distances, ElementsAre(ElementsAre(10, 20), ElementsAre(20, 10)));
  EXPECT_EQ(topology->cpus(), 3U);
}

TEST(NumaTopology, HasNodesWithoutCpus) {
  const auto topology = make_numa_topology(
      {.nodes = 2, .node_cpus = {{0, 1}, {}}, .distances = {{10, 15}, {17, 10}}});
  ASSERT_TRUE(topology);
  EXPECT_TRUE(topology->has_cpu(0));
  EXPECT_FALSE(topology->has_cpu(1));
  EXPECT_EQ(topology->distance(0, 1), 15);
  EXPECT_EQ(topology->distance(1, 0), 17);
}

TEST(NumaTopology, RefusesWhatNoMachineIs) {
  const auto error = [](numa_topology_spec spec) {
    const auto made = make_numa_topology(std::move(spec));
    return made ? std::string{"accepted"} : made.error();
  };
  EXPECT_THAT(error({.nodes = 0}), HasSubstr("at least 1"));
  EXPECT_THAT(error({.nodes = 2, .node_cpus = {{0}}}), HasSubstr("1 nodes of 2"));
  EXPECT_THAT(error({.nodes = 2, .node_cpus = {{0}, {0}}}),
              HasSubstr("CPU 0 is in two nodes"));
  EXPECT_THAT(error({.nodes = 1, .node_cpus = {{}}}), HasSubstr("no node has a CPU"));
  EXPECT_THAT(error({.nodes = 2, .distances = {{10, 20}}}), HasSubstr("2 rows of 2"));
  EXPECT_THAT(error({.nodes = 2, .distances = {{10, 20}, {20}}}),
              HasSubstr("2 rows of 2"));
  EXPECT_THAT(error({.nodes = 2, .distances = {{10, 10}, {20, 10}}}),
              HasSubstr("distance 10 from node 0 to node 1"));
  EXPECT_THAT(error({.nodes = 1, .distances = {{11}}}), HasSubstr("distance 11"));
  EXPECT_THAT(error({.nodes = 2, .distances = {{10, 256}, {20, 10}}}),
              HasSubstr("distance 256"));
}

}  // namespace
}  // namespace memhp
