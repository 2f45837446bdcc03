#include "emu/acpi_memhotplug.h"

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

using testing::ElementsAre;

std::string memory(const char* action, int id) {
  return fmt::format("{}@/devices/system/memory/memory{}", action, id);
}
std::string node(const char* action, int nid) {
  return fmt::format("{}@/devices/system/node/node{}", action, nid);
}
std::string slot_file(int slot, const char* file) {
  return fmt::format("{}/PNP0C80:{:02x}/{}", slots_dir, slot, file);
}

TEST(Dimm, AnnouncesItsBlocksThenItsNode) {
  test_machine m;
  (void)m.new_uevents();
  EXPECT_EQ(m.debug("plug_dimm", "size=256M node=2"), 0);
  EXPECT_THAT(m.new_uevents(),
              ElementsAre(memory("add", 32), memory("add", 33), node("add", 2)));
  EXPECT_EQ(m.debug("plug_dimm", "size=128M node=2"), 0);
  EXPECT_THAT(m.new_uevents(), ElementsAre(memory("add", 34)));
}

TEST(Dimm, AutoOnlineComesAfterTheNode) {
  test_machine m;
  EXPECT_EQ(m.write("devices/system/memory/auto_online_blocks", "online_movable"), 0);
  (void)m.new_uevents();
  EXPECT_EQ(m.debug("plug_dimm", "size=256M node=2"), 0);
  EXPECT_THAT(m.new_uevents(),
              ElementsAre(memory("add", 32), memory("add", 33), node("add", 2),
                          memory("online", 32), memory("online", 33)));
  EXPECT_EQ(m.zones(33), "Movable");
}

TEST(Dimm, TheAddEventComesBeforeTheLinkToTheNode) {
  test_machine m;
  bool linked = true;
  m.on_uevent = [&](const std::string& event) {
    if (event == memory("add", 32)) linked = m.exists(test_machine::block(32, "node2"));
  };
  EXPECT_EQ(m.debug("plug_dimm", "size=128M node=2"), 0);
  EXPECT_FALSE(linked);
  EXPECT_TRUE(m.exists(test_machine::block(32, "node2")));
}

TEST(Dimm, ItsSlotAndItsBlocksNameEachOther) {
  test_machine m{with_dimm(2)};
  const auto target = [&](const std::string& path) {
    return m->sysfs().readlink(**m->sysfs().find(path));
  };
  EXPECT_EQ(target(test_machine::block(33, "firmware_node")),
            "../../../LNXSYSTM:00/LNXSYBUS:00/PNP0A06:04/PNP0C80:00");
  EXPECT_EQ(target(slot_file(0, "physical_node")), "../../../../system/memory/memory32");
  EXPECT_EQ(target(slot_file(0, "physical_node1")), "../../../../system/memory/memory33");
  EXPECT_EQ(m.read(slot_file(0, "status")), "15");
  EXPECT_EQ(m.read(slot_file(0, "hid")), "PNP0C80");
}

TEST(Dimm, ItsSlotTellsUdevWhatItIs) {
  test_machine m{with_dimm(1)};
  EXPECT_EQ(m.read(slot_file(0, "modalias")), "acpi:PNP0C80:");
  EXPECT_EQ(m.read(slot_file(0, "uevent")), "MODALIAS=acpi:PNP0C80:");
  EXPECT_EQ(m.write(slot_file(0, "uevent"), "change"), 0);
  EXPECT_THAT(
      m.read("kernel/debug/memhp/uevents"),
      testing::HasSubstr(fmt::format("change@/{0}/PNP0C80:00 ACTION=change "
                                     "DEVPATH=/{0}/PNP0C80:00 SUBSYSTEM=acpi "
                                     "MODALIAS=acpi:PNP0C80: SYNTH_UUID=0 SEQNUM=",
                                     slots_dir)));
}

TEST(Eject, OfflinesThenRemovesTheBlocksThenTheNode) {
  test_machine m{with_dimm(2)};
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  EXPECT_EQ(m.set(33, "online_movable"), 0);
  (void)m.new_uevents();
  EXPECT_EQ(m.eject(0), 0);
  EXPECT_THAT(m.new_uevents(),
              ElementsAre(memory("offline", 32), memory("offline", 33),
                          memory("remove", 32), memory("remove", 33), node("remove", 2)));
  EXPECT_EQ(m.read(slot_file(0, "status")), "0");
  EXPECT_FALSE(m.exists(test_machine::block(32, "state")));
  EXPECT_FALSE(m.exists(slot_file(0, "physical_node")));
}

TEST(Eject, AnswersBeforeItIsDone) {
  test_machine m{with_dimm(1)};
  EXPECT_EQ(m.write(slot_file(0, "eject"), "1"), 0);
  EXPECT_EQ(m.state(32), "offline");
  EXPECT_EQ(m.write(slot_file(0, "eject"), "1"), 0);  // asked twice
  m->flush_workqueues();
  EXPECT_EQ(m.state(32), "errno 2");
  EXPECT_EQ(m.write(slot_file(0, "eject"), "1"), ENODEV);
  EXPECT_EQ(m.write(slot_file(0, "eject"), "0"), EINVAL);
}

TEST(Eject, AnEmptySlotAndItsAddressesAreUsedAgain) {
  test_machine m{with_dimm(1)};
  EXPECT_EQ(m.eject(0), 0);
  EXPECT_EQ(m.debug("plug_dimm", "size=128M node=1"), 0);
  EXPECT_EQ(m.read(slot_file(0, "status")), "15");
  EXPECT_FALSE(m.exists(slot_file(1, "status")));
  EXPECT_TRUE(m.exists(test_machine::block(32, "node1")));
}

TEST(Eject, ARefusalBringsTheBlocksBackInTheDefaultZone) {
  test_machine m{with_dimm(4)};
  for (const int id : {32, 33, 35}) EXPECT_EQ(m.set(id, "online_movable"), 0);
  EXPECT_EQ(m.reserve(35), 0);
  (void)m.new_uevents();
  EXPECT_EQ(m.eject(0), 0);  // only asked
  EXPECT_THAT(m.new_uevents(), ElementsAre(memory("offline", 32), memory("offline", 33),
                                           memory("online", 32), memory("online", 33)));
  EXPECT_EQ(m.zones(32), "Normal");
  EXPECT_EQ(m.zones(33), "Normal");
  EXPECT_EQ(m.state(34), "offline");  // as it was
  EXPECT_EQ(m.zones(35), "Movable");
  EXPECT_EQ(m.read(slot_file(0, "status")), "15");
  EXPECT_THAT(m.log.back(), testing::HasSubstr("Offline failed"));
  EXPECT_EQ(m.debug("page_unreserve", fmt::format("{:#x}", 35 * block_size)), 0);
  EXPECT_EQ(m.eject(0), 0);
  EXPECT_FALSE(m.exists(test_machine::block(35, "state")));
}

TEST(Eject, ASecondPassTakesWhatTheFirstCouldNot) {
  test_machine m{with_dimm(2)};
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.set(33, "online"), 0);
  // Block 32 is needed for as long as 33 is online.
  const memory_notifier keeper{
      .name = "keeper", .call = [&](memory_event event, const memory_notify& what) {
        const bool needed = event == memory_event::going_offline &&
                            what.range == m.range_of(32) && m.state(33) == "online";
        return needed ? result<>{fail(errc::device_or_resource_busy)} : result<>{};
      }};
  m.k().memory_chain.add(keeper);
  (void)m.new_uevents();
  EXPECT_EQ(m.eject(0), 0);
  EXPECT_THAT(m.new_uevents(),
              ElementsAre(memory("offline", 33), memory("offline", 32),
                          memory("remove", 32), memory("remove", 33), node("remove", 2)));
  m.k().memory_chain.remove(keeper);
}

TEST(Plug, RefusesWhatCannotBe) {
  machine_config config = two_nodes();
  config.max_memory = 8 * GiB;
  test_machine m{config};
  EXPECT_EQ(m.debug("plug_dimm", "size=100M node=2"), EINVAL);
  EXPECT_EQ(m.debug("plug_dimm", "size=0 node=2"), EINVAL);
  EXPECT_EQ(m.debug("plug_dimm", "size=128M node=3"), EINVAL);
  EXPECT_EQ(m.debug("plug_dimm", "size=5G node=2"), ENOSPC);
  EXPECT_EQ(m.debug("plug_dimm", "size=0xfffffffff8000000 node=2"), ENOSPC);
  EXPECT_EQ(m.debug("plug_dimm", "size=4G node=2"), 0);
  EXPECT_EQ(m.debug("plug_dimm", "size=128M node=2"), ENOSPC);
  EXPECT_EQ(m.children(slots_dir, "PNP0C80").size(), 1U);
}

TEST(Plug, EndsAtTheLastSlot) {
  test_machine m{{.memory = 64 * MiB, .block_size = 2 * MiB}};
  for (int slot = 0; slot < max_dimm_slots; ++slot)
    ASSERT_EQ(m.debug("plug_dimm", "size=2M node=0"), 0);
  EXPECT_EQ(m.debug("plug_dimm", "size=2M node=0"), ENOSPC);
  EXPECT_EQ(m.children(slots_dir, "PNP0C80").size(), 256U);
}

}  // namespace
}  // namespace memhp
