// The machine that boots: where its memory lies and in which zones.
#include "emu/machine.h"

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

constexpr std::uint64_t dma_pages = 16 * MiB / page_size;
constexpr std::uint64_t bios_pages = 96;  // holes in block 0
constexpr std::uint64_t acpi_pages = 32;  // holes at the end of low memory

std::vector<std::string> block_zones(test_machine& m,
                                     const std::vector<std::uint64_t>& ids) {
  std::vector<std::string> zones;
  for (const auto id : ids) zones.push_back(m.zones(id));
  return zones;
}

TEST(Boot, PutsMemoryBelow4GiBIntoTheDmaZones) {
  test_machine m;
  EXPECT_EQ(m.children(memory_dir, "memory").size(), 8U);
  EXPECT_THAT(block_zones(m, {0, 1, 4, 7}),
              testing::ElementsAre("none", "DMA32", "DMA32", "DMA32"));
  const zone::counters dma = m.zone_of(0, zone_type::dma).pages();
  EXPECT_EQ(dma.spanned, dma_pages);
  EXPECT_EQ(dma.present, dma_pages - bios_pages);
  const zone::counters low = m.zone_of(0, zone_type::dma32).pages();
  EXPECT_EQ(low.present, 4 * block_pages - dma_pages);
  EXPECT_EQ(low.early, low.present);
  EXPECT_EQ(m.mem_total_kib(1), (4 * block_pages - acpi_pages) * 4);
  EXPECT_EQ(m.zone_of(1, zone_type::normal).pages().spanned, 0U);
  for (const std::uint64_t id : {0, 3})
    EXPECT_TRUE(m.exists(test_machine::block(id, "node0")));
  for (const std::uint64_t id : {4, 7})
    EXPECT_TRUE(m.exists(test_machine::block(id, "node1")));
}

TEST(Boot, KeepsItAllLowUpTo2Point75GiB) {
  test_machine m{{.memory = 2816 * MiB}};
  EXPECT_EQ(m.children(memory_dir, "memory").size(), 22U);
  EXPECT_EQ(m.zones(21), "DMA32");
  EXPECT_EQ(m.set(21, "offline"), EINVAL);  // ACPI tables at its end
}

TEST(Boot, MovesWhatIsAbove2GiBOverTheHoleIfItIsMore) {
  test_machine m{{.nodes = 2, .memory = 1536 * MiB}};  // node 1: 0.5 GiB low, 1 high
  EXPECT_THAT(m.children(memory_dir, "memory"), testing::SizeIs(24));
  EXPECT_FALSE(m.exists(test_machine::block(16, "state")));
  EXPECT_THAT(block_zones(m, {15, 32, 39}),
              testing::ElementsAre("DMA32", "Normal", "Normal"));
  EXPECT_TRUE(m.exists(test_machine::block(15, "node1")));
  EXPECT_EQ(m.set(15, "offline"), EINVAL);
  EXPECT_EQ(m.set(39, "offline"), 0);
  EXPECT_EQ(m.debug("plug_dimm", "size=128M"), 0);
  EXPECT_TRUE(m.exists(test_machine::block(40, "node0")));  // after boot memory
}

TEST(Boot, MovablecoreIsTheTopOfEveryNode) {
  machine_config config = two_nodes();
  config.movablecore = 384 * MiB;  // two blocks of node 0, one of node 1
  test_machine m{config};
  EXPECT_THAT(block_zones(m, {1, 2, 3, 6, 7}),
              testing::ElementsAre("DMA32", "Movable", "Movable", "DMA32", "Movable"));
  EXPECT_EQ(m.zone_of(0, zone_type::movable).pages().present, 2 * block_pages);
  EXPECT_EQ(m.set(2, "offline"), 0);
  EXPECT_EQ(m.set(2, "online_kernel"), 0);
  EXPECT_EQ(m.zones(2), "Normal");  // beside, not inside, the span of DMA32
}

TEST(Boot, BlocksOfTheKernelAreBusy) {
  machine_config config = two_nodes();
  config.kernel_blocks = {2};
  test_machine m{config};
  EXPECT_EQ(m.set(2, "offline"), EBUSY);
  EXPECT_EQ(m.set(1, "offline"), 0);
}

TEST(Boot, PlugsTheDimmsInOrderAndOnlinesThemAsTold) {
  machine_config config = two_nodes();
  config.dimms = {{.size = 128 * MiB, .node = 2}, {.size = 256 * MiB, .node = 0}};
  config.auto_online = "online_movable";
  test_machine m{config};
  EXPECT_TRUE(m.exists(test_machine::block(32, "node2")));
  EXPECT_TRUE(m.exists(test_machine::block(34, "node0")));
  EXPECT_THAT(block_zones(m, {32, 33, 34}),
              testing::ElementsAre("Movable", "Movable", "Movable"));
}

TEST(Boot, KnowsSmallAndLargeBlocks) {
  test_machine small{{.memory = 64 * MiB, .block_size = 2 * MiB}};
  EXPECT_EQ(small.memory("block_size_bytes"), "200000");
  EXPECT_THAT(block_zones(small, {0, 7, 8}), testing::ElementsAre("DMA", "DMA", "DMA32"));
  test_machine large{{.memory = 4 * GiB, .block_size = 2 * GiB}};
  EXPECT_THAT(block_zones(large, {0, 2}), testing::ElementsAre("none", "Normal"));
}

TEST(Machine, ManyStandSideBySide) {
  test_machine a{with_dimm(1)};
  test_machine b{with_dimm(1)};
  EXPECT_EQ(a.set(32, "online"), 0);
  EXPECT_EQ(a.state(32), "online");
  EXPECT_EQ(b.state(32), "offline");
}

TEST(Machine, WorkGoesToTheRunnerThatWasGiven) {
  std::vector<std::function<void()>> handed;
  auto m = machine::boot(with_dimm(1), {.run_work = [&](std::function<void()> work) {
                           handed.push_back(std::move(work));
                         }});
  ASSERT_TRUE(m);
  EXPECT_TRUE((*m)->write(fmt::format("{}/PNP0C80:00/eject", slots_dir), "1"));
  ASSERT_EQ(handed.size(), 1U);
  handed[0]();
  EXPECT_FALSE((*m)->sysfs().find("devices/system/memory/memory32"));
}

}  // namespace
}  // namespace memhp
