// The words of kernel/dlpar and what they do to the logical memory blocks.
#include "emu/dlpar.h"

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

using testing::HasSubstr;

machine_config pseries() {
  machine_config config = two_nodes();
  config.platform = platform_kind::pseries;
  return config;
}

class pseries_machine : public test_machine {
 public:
  explicit pseries_machine(machine_config config = pseries())
      : test_machine{std::move(config)} {}
  int dlpar(std::string_view request) { return write("kernel/dlpar", request); }
  bool has(std::uint64_t id) { return exists(block(id, "state")); }
};

TEST(Dlpar, IsThereOnPseriesOnly) {
  test_machine pc;
  EXPECT_FALSE(pc.exists("kernel/dlpar"));
  pseries_machine m;
  EXPECT_EQ(m.read("kernel/dlpar"), "memory,cpu");
}

TEST(Dlpar, AddsAndRemovesByIndex) {
  pseries_machine m;
  EXPECT_EQ(m.dlpar("memory add index 0x80000021\n"), 0);
  EXPECT_FALSE(m.has(32));
  EXPECT_EQ(m.state(33), "online");
  EXPECT_EQ(m.zones(33), "Normal");
  EXPECT_EQ(m.zone_of(0, zone_type::normal).pages().present, block_pages);
  EXPECT_THAT(m.log.back(),
              HasSubstr("Memory at 108000000 (drc index 80000021) was hot-added"));
  EXPECT_EQ(m.dlpar("memory add index 0x80000021"), EINVAL);  // assigned
  EXPECT_EQ(m.dlpar("memory remove index 0x80000021"), 0);
  EXPECT_FALSE(m.has(33));
  EXPECT_EQ(m.zone_of(0, zone_type::normal).pages().present, 0U);
  EXPECT_EQ(m.dlpar("memory remove index 0x80000021"), EINVAL);
  EXPECT_EQ(m.dlpar("memory remove index 0x90000000"), EINVAL);
}

TEST(Dlpar, CountsFromTheLowestThatCanBeHad) {
  pseries_machine m;
  EXPECT_EQ(m.dlpar("memory add count 2"), 0);
  EXPECT_EQ(m.state(32), "online");
  EXPECT_EQ(m.state(33), "online");
  // Block 0 has a hole and block 2 a page of the kernel's: the next ones go.
  EXPECT_EQ(m.reserve(2), 0);
  EXPECT_EQ(m.dlpar("memory remove count 2"), 0);
  EXPECT_TRUE(m.has(0));
  EXPECT_FALSE(m.has(1));
  EXPECT_EQ(m.state(2), "online");
  EXPECT_FALSE(m.has(3));
  EXPECT_EQ(m.dlpar("memory remove count 0"), EINVAL);
  EXPECT_EQ(m.dlpar("memory remove count 9"), EINVAL);
}

TEST(Dlpar, TakesEverythingBackThatItCouldNotDoWhole) {
  pseries_machine m;
  // Of the eight that are assigned, blocks 0 and 7 cannot go.
  EXPECT_EQ(m.dlpar("memory remove count 7"), EINVAL);
  for (const std::uint64_t id : {0, 1, 2, 3, 4, 5, 6, 7})
    EXPECT_EQ(m.state(id), "online") << id;
  EXPECT_EQ(m.inject("MEM_GOING_ONLINE", ENOMEM), 0);
  EXPECT_EQ(m.dlpar("memory add count 2"), EINVAL);
  EXPECT_EQ(m.dlpar("memory add index 0x80000020"), ENOMEM);
  EXPECT_FALSE(m.has(32));
  EXPECT_EQ(m.inject("MEM_GOING_ONLINE", 0), 0);
  EXPECT_EQ(m.dlpar("memory add index 0x80000020"), 0);
}

TEST(Dlpar, ARowLeavesAloneWhatIsAsWanted) {
  pseries_machine m;
  EXPECT_EQ(m.dlpar("memory add index 0x80000021"), 0);
  EXPECT_EQ(m.dlpar("memory add indexed-count 3 0x80000020"), 0);
  for (const std::uint64_t id : {32, 33, 34}) EXPECT_EQ(m.state(id), "online") << id;
  // The last of the row refuses.
  EXPECT_EQ(m.reserve(34), 0);
  EXPECT_EQ(m.dlpar("memory remove indexed-count 3 0x80000020"), EINVAL);
  for (const std::uint64_t id : {32, 33, 34}) EXPECT_EQ(m.state(id), "online") << id;
  EXPECT_EQ(m.dlpar("memory remove indexed-count 2 0x80000020"), 0);
  EXPECT_FALSE(m.has(32));
  EXPECT_FALSE(m.has(33));
  EXPECT_EQ(m.dlpar("memory add indexed-count 9 0x80000020"), EINVAL);  // no so many
}

TEST(Dlpar, AnLmbThatIsOfflineAlreadyIsRemoved) {
  pseries_machine m;
  EXPECT_EQ(m.set(3, "offline"), 0);
  EXPECT_EQ(m.dlpar("memory remove index 0x80000003"), 0);
  EXPECT_FALSE(m.has(3));
  EXPECT_EQ(m.write("devices/system/memory/auto_online_blocks", "online_movable"), 0);
  EXPECT_EQ(m.dlpar("memory add index 0x80000003"), 0);  // online already: fine
  EXPECT_EQ(m.zones(3), "Movable");
}

TEST(Dlpar, ComplainsAboutItsWords) {
  pseries_machine m;
  const auto said = [&](std::string_view request, const char* complaint) {
    m.log.clear();
    EXPECT_EQ(m.dlpar(request), EINVAL) << request;
    ASSERT_GE(m.log.size(), 2U);
    EXPECT_THAT(m.log[m.log.size() - 2], HasSubstr(complaint));
    EXPECT_THAT(m.log.back(), HasSubstr("Could not handle DLPAR request"));
  };
  said("disk add count 1", "Invalid resource specified.");
  said("cpu add count 1", "Invalid resource (2) specified");
  said("memory grow count 1", "Invalid action specified.");
  said("memory add lmb 1", "Invalid id_type specified.");
  said("memory add count", "Invalid DRC count specified.");
  said("memory add index x", "Invalid DRC Index specified.");
  said("memory add indexed-count 1", "Invalid DRC Index specified.");
  said("memory  add count 1", "Invalid action specified.");
  said("memory add count 4294967296", "Invalid DRC count specified.");
}

}  // namespace
}  // namespace memhp
