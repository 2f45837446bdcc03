#include "emu/zone_policy.h"

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

TEST(ContigZones, MovableOnlyBetweenMovableBlocks) {
  test_machine m{with_dimm(4)};
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  EXPECT_EQ(m.zones(33), "Normal Movable");  // a mere neighbour does not count
  EXPECT_EQ(m.set(35, "online_movable"), 0);
  EXPECT_EQ(m.zones(33), "Movable Normal");
  EXPECT_EQ(m.set(33, "online"), 0);
  EXPECT_EQ(m.zones(33), "Movable");
  EXPECT_EQ(m.set(35, "offline"), 0);
  EXPECT_EQ(m.zones(34), "Normal Movable");  // the span has shrunk
}

TEST(ContigZones, ZonesMayInterleaveWhenAskedTo) {
  test_machine m{with_dimm(4)};
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  EXPECT_EQ(m.set(33, "online_kernel"), 0);
  EXPECT_EQ(m.set(34, "online_movable"), 0);
  EXPECT_EQ(m.set(35, "online_kernel"), 0);
  EXPECT_EQ(m.zones(33), "Normal");
  EXPECT_EQ(m.zones(34), "Movable");
  EXPECT_EQ(m.set(34, "offline"), 0);
  EXPECT_EQ(m.zones(34), "Normal Movable");  // inside Normal, outside Movable
  EXPECT_EQ(m.set(34, "online_movable"), 0);
  EXPECT_EQ(m.set(33, "offline"), 0);
  EXPECT_EQ(m.zones(33), "Movable Normal");
}

TEST(ContigZones, SpansAreANodesOwn) {
  test_machine m{with_dimm(2)};
  EXPECT_EQ(m.debug("plug_dimm", "size=256M node=1"), 0);  // blocks 34, 35
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  EXPECT_EQ(m.set(35, "online_movable"), 0);
  EXPECT_EQ(m.zones(33), "Normal Movable");
  EXPECT_EQ(m.zones(34), "Normal Movable");
}

TEST(MovableNode, FreshMemoryIsMovableByDefault) {
  machine_config config = with_dimm(2);
  config.movable_node = true;
  test_machine m{config};
  EXPECT_EQ(m.zones(32), "Movable Normal");
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.zones(32), "Movable");
}

// One node with 8 boot blocks, of which less than 8 blocks' pages are there: a ratio of
// 100 percent allows 7 movable blocks, one of 50 percent allows 3.
class AutoMovable : public testing::Test {
 protected:
  static machine_config policy() {
    return {.nodes = 1,
            .possible_nodes = 2,
            .memory = 1 * GiB,
            .online_policy = "auto-movable"};
  }
  void set(const char* parameter, const char* value) {
    EXPECT_EQ(
        m_.write(fmt::format("module/memory_hotplug/parameters/{}", parameter), value),
        0);
  }
  void plug(const char* words) { EXPECT_EQ(m_.debug("plug_dimm", words), 0); }
  // Zones that blocks [first, first + count) come online in.
  std::string online(std::uint64_t first, std::uint64_t count) {
    std::string zones;
    for (std::uint64_t id = first; id < first + count; ++id) {
      EXPECT_EQ(m_.set(id, "online"), 0);
      zones += m_.zones(id).substr(0, 1);
    }
    return zones;
  }
  test_machine m_{policy()};
};

TEST_F(AutoMovable, KeepsTheRatioToBootMemory) {
  set("auto_movable_ratio", "50");
  for (int id = 40; id < 45; ++id) EXPECT_EQ(m_.probe(static_cast<std::uint64_t>(id)), 0);
  EXPECT_EQ(online(40, 5), "MMMNN");  // kernel memory that is added later allows no more
  EXPECT_EQ(m_.set(41, "offline"), 0);
  EXPECT_EQ(m_.zones(41), "Movable Normal");
}

TEST_F(AutoMovable, TakesADimmAsAWhole) {
  set("auto_movable_ratio", "50");
  plug("size=512M");
  EXPECT_EQ(online(32, 4), "NNNN");
  plug("size=384M");
  EXPECT_EQ(online(36, 3), "MMM");
}

TEST_F(AutoMovable, ADimmWithKernelMemoryStaysKernel) {
  plug("size=384M");
  EXPECT_EQ(m_.set(33, "online_kernel"), 0);
  EXPECT_EQ(m_.zones(32), "Normal Movable");
  EXPECT_EQ(m_.set(33, "offline"), 0);
  EXPECT_EQ(m_.zones(32), "Movable Normal");
}

TEST_F(AutoMovable, LooksAtTheNodeAsWellIfNumaAware) {
  plug("size=128M node=1");  // without boot memory
  EXPECT_EQ(m_.zones(32), "Normal Movable");
  set("auto_movable_numa_aware", "N");
  EXPECT_EQ(m_.zones(32), "Movable Normal");
  set("auto_movable_ratio", "0");
  EXPECT_EQ(m_.zones(32), "Normal Movable");
  set("online_policy", "contig-zones");
  EXPECT_EQ(m_.read("module/memory_hotplug/parameters/online_policy"), "contig-zones");
  EXPECT_EQ(m_.write("module/memory_hotplug/parameters/online_policy", "auto"), EINVAL);
}

}  // namespace
}  // namespace memhp
