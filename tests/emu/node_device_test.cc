#include "emu/node_device.h"

#include <map>
#include <sstream>

#include "tests/emu/machine_fixture.h"
#include "tests/locks/golden.h"

namespace memhp {
namespace {

using testing::UnorderedElementsAre;

TEST(FormatList, RunsNeighboursTogether) {
  EXPECT_EQ(format_list({}), "");
  EXPECT_EQ(format_list({3}), "3");
  EXPECT_EQ(format_list({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
}

TEST(FormatMask, HasAsManyDigitsAsThereAreBits) {
  EXPECT_EQ(format_mask({0}, 2), "1");
  EXPECT_EQ(format_mask({0, 2}, 5), "05");
  EXPECT_EQ(format_mask({}, 64), "00000000,00000000");
  EXPECT_EQ(format_mask({0, 32, 35}, 36), "9,00000001");
}

TEST(Node, ListsFollowTheBlocksThatAreOnline) {
  test_machine m{with_dimm(2)};
  EXPECT_EQ(m.nodes("possible"), "0-2");
  EXPECT_EQ(m.nodes("online"), "0-2");
  EXPECT_EQ(m.nodes("has_cpu"), "0-1");
  EXPECT_EQ(m.nodes("has_memory"), "0-1");
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  EXPECT_EQ(m.nodes("has_memory"), "0-2");
  EXPECT_EQ(m.nodes("has_normal_memory"), "0-1");
  EXPECT_EQ(m.set(33, "online_kernel"), 0);
  EXPECT_EQ(m.nodes("has_normal_memory"), "0-2");
  EXPECT_EQ(m.set(33, "offline"), 0);
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_EQ(m.nodes("has_memory"), "0-1");
}

TEST(Node, MemTotalChangesByWholeBlocks) {
  test_machine m{with_dimm(2)};
  EXPECT_EQ(m.mem_total_kib(2), 0U);
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.mem_total_kib(2), 131'072U);
  EXPECT_EQ(m.set(33, "online_movable"), 0);
  EXPECT_EQ(m.mem_total_kib(2), 262'144U);
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_EQ(m.mem_total_kib(2), 131'072U);
}

// Which lines of meminfo the kernel lines up and which not, and an empty directory that
// every node has.
TEST(Node, LooksLikeTheKernelsDownToTheBlanks) {
  test_machine m{with_dimm(1)};
  const std::string meminfo = m.read("devices/system/node/node2/meminfo");
  EXPECT_THAT(meminfo, testing::HasSubstr("\nNode 2 ShmemPmdMapped:        0 kB\n"
                                          "Node 2 FileHugePages:        0 kB\n"
                                          "Node 2 FilePmdMapped:        0 kB\n"
                                          "Node 2 HugePages_Total:     0\n"));
  EXPECT_TRUE(m.exists("devices/system/node/node2/x86"));
}

// "NAME VALUE" lines.
std::map<std::string, std::uint64_t> counters(const std::string& text) {
  std::map<std::string, std::uint64_t> values;
  std::istringstream lines{text};
  std::string name;
  for (std::uint64_t value = 0; lines >> name >> value;) values[name] = value;
  return values;
}

// The names of the recorded machine's zoneinfo (Debian 12, 6.1), in the order in which
// node_read_vmstat() has them: of zones, of the allocator, of nodes.
TEST(Node, VmstatHasTheKernelsCountersInTheKernelsOrder) {
  test_machine m{with_dimm(1)};
  std::istringstream lines{m.node(1, "vmstat")};
  std::string names, name, value;
  while (lines >> name >> value) names += name + '\n';
  expect_golden("node_vmstat.txt", names);
}

TEST(Node, VmstatAgreesWithMeminfoAndNumastat) {
  test_machine m;
  EXPECT_EQ(m.debug("kmem_cache_create", "box size=512"), 0);
  EXPECT_EQ(m.debug("kmem_cache_alloc", "box 100 node=1"), 0);
  auto vmstat = counters(m.node(1, "vmstat"));
  const std::string meminfo = m.node(1, "meminfo");
  const auto kib = [&](const std::string& key) {
    return std::stoull(meminfo.substr(meminfo.find(" " + key + ":") + key.size() + 2));
  };
  EXPECT_EQ(vmstat.at("nr_free_pages") * 4, kib("MemFree"));
  EXPECT_GT(vmstat.at("nr_slab_unreclaimable"), 0U);
  EXPECT_EQ(vmstat.at("nr_slab_unreclaimable") * 4, kib("SUnreclaim"));
  EXPECT_EQ(vmstat.at("nr_slab_reclaimable") * 4, kib("SReclaimable"));
  EXPECT_EQ(vmstat.at("nr_kernel_stack"), kib("KernelStack"));
  EXPECT_EQ(vmstat.at("nr_page_table_pages") * 4, kib("PageTables"));
  auto numastat = counters(m.node(1, "numastat"));
  EXPECT_EQ(numastat.size(), 6U);
  for (const auto& [here, there] :
       std::map<std::string, std::string>{{"numa_hit", "numa_hit"},
                                          {"numa_miss", "numa_miss"},
                                          {"numa_foreign", "numa_foreign"},
                                          {"interleave_hit", "numa_interleave"},
                                          {"local_node", "numa_local"},
                                          {"other_node", "numa_other"}})
    EXPECT_EQ(numastat.at(here), vmstat.at(there)) << here;
}

TEST(Node, MemTotalLacksTheMemmapThatABlockHosts) {
  machine_config config = two_nodes();
  config.memmap_on_memory = true;
  config.dimms = {{.size = 128 * MiB, .node = 2}, {.size = 256 * MiB, .node = 2}};
  test_machine m{config};
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.mem_total_kib(2), 131'072U - 2048);
  EXPECT_EQ(m.set(33, "online"), 0);  // a DIMM of two blocks does not host it
  EXPECT_EQ(m.mem_total_kib(2), 262'144U - 2048);
  EXPECT_EQ(m.probe(60), 0);  // nor does probed memory
  const std::uint64_t before = m.mem_total_kib(0);
  EXPECT_EQ(m.set(60, "online"), 0);
  EXPECT_EQ(m.mem_total_kib(0), before + 131'072);
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_EQ(m.mem_total_kib(2), 131'072U);
}

TEST(Node, AndItsBlocksAreLinkedBothWaysWhateverTheirState) {
  test_machine m{with_dimm(1)};
  const auto target = [&](const std::string& path) {
    return m->sysfs().readlink(**m->sysfs().find(path));
  };
  EXPECT_TRUE(m.exists("devices/system/node/node2/memory32"));
  for (const auto word : {"online", "offline"}) {
    EXPECT_EQ(m.set(32, word), 0);
    EXPECT_EQ(target("devices/system/memory/memory32/node2"), "../../node/node2");
    EXPECT_EQ(target("devices/system/node/node2/memory32"), "../../memory/memory32");
  }
}

TEST(Node, IsThereWhileItHasBlocksOrCpus) {
  test_machine m;
  EXPECT_THAT(m.children(node_dir, "node"), UnorderedElementsAre("node0", "node1"));
  EXPECT_EQ(m.nodes("online"), "0-1");
  EXPECT_EQ(m.debug("plug_dimm", "size=128M node=2"), 0);
  EXPECT_EQ(m.debug("plug_dimm", "size=128M node=2"), 0);
  EXPECT_THAT(m.children(node_dir, "node"),
              UnorderedElementsAre("node0", "node1", "node2"));
  EXPECT_EQ(m.eject(0), 0);
  EXPECT_TRUE(m.exists("devices/system/node/node2"));
  EXPECT_EQ(m.eject(1), 0);
  EXPECT_FALSE(m.exists("devices/system/node/node2"));
  EXPECT_FALSE(m.exists("bus/node/devices/node2"));
  EXPECT_EQ(m.nodes("online"), "0-1");
}

TEST(Node, WithCpusAloneIsThereFromTheStartAndStays) {
  machine_config config{.nodes = 1, .possible_nodes = 2, .memory = 256 * MiB};
  config.node_cpus = {{0}, {1, 2}};
  test_machine m{config};
  EXPECT_EQ(m.nodes("online"), "0-1");
  EXPECT_EQ(m.node(1, "cpulist"), "1-2");
  EXPECT_EQ(m.debug("plug_dimm", "size=128M node=1"), 0);
  EXPECT_EQ(m.eject(0), 0);
  EXPECT_TRUE(m.exists("devices/system/node/node1/cpu2"));
  EXPECT_TRUE(m.exists("devices/system/cpu/cpu2/node1"));
}

TEST(Node, ShowsDistancesToOnlineNodesOnly) {
  machine_config config = two_nodes();
  config.distances = {{10, 21, 31}, {21, 10, 41}, {31, 41, 10}};
  test_machine m{config};
  EXPECT_EQ(m.node(1, "distance"), "21 10");
  EXPECT_EQ(m.debug("plug_dimm", "size=128M node=2"), 0);
  EXPECT_EQ(m.node(1, "distance"), "21 10 41");
}

// The readers of a node that disappears are waited for as well.
TEST(Node, RemovalWaitsForItsReaders) {
  test_machine m{with_dimm(1)};
  stopped_file stopped;
  const kernfs_ref file =
      *m->sysfs().create_file(*m.k().node->devices[2]->dir, stopped_attr, stopped);
  auto shown = std::async(std::launch::async, [&] { return m.node(2, "stopped"); });
  stopped.entered.wait();
  auto ejected = std::async(std::launch::async, [&] { return m.eject(0); });
  ASSERT_TRUE(eventually([&] { return !file->active(); }));
  EXPECT_TRUE(still_waits(ejected));
  stopped.go_on.count_down();
  EXPECT_EQ(ejected.get(), 0);
  EXPECT_EQ(shown.get(), "shown");
  EXPECT_FALSE(m.exists("devices/system/node/node2"));
}

}  // namespace
}  // namespace memhp
