#include "emu/debug_files.h"

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

TEST(DebugFiles, HelpNamesEveryFile) {
  test_machine m;
  const std::string help = m.read("kernel/debug/memhp/help");
  for (const std::string& file : m.children("kernel/debug/memhp"))
    EXPECT_THAT(help, testing::ContainsRegex("\n" + file + " +[\"t]")) << file;
}

// It is longer than a page, and the injected errors come last.
TEST(DebugFiles, HelpIsWholeToItsLastLine) {
  test_machine m;
  const std::string help = m.read("kernel/debug/memhp/help");
  EXPECT_THAT(help, testing::HasSubstr("MEM_GOING_"));
  EXPECT_THAT(help, testing::EndsWith("0 ends it."));
}

TEST(DebugFiles, AreRootsAloneAndOfNoSize) {
  test_machine m;
  const auto stat = [&](const char* path) {
    return m->sysfs().stat(**m->sysfs().find(path));
  };
  EXPECT_EQ(stat("kernel/debug").mode, static_cast<mode_t>(S_IFDIR | 0700));
  EXPECT_EQ(stat("kernel/debug/memhp").mode, static_cast<mode_t>(S_IFDIR | 0755));
  for (const char* path :
       {"kernel/debug/memhp/help", "kernel/debug/powerpc/memtrace/enable",
        "kernel/debug/notifier-error-inject/memory/actions/MEM_GOING_ONLINE/error",
        "proc/iomem", "proc/sys/kernel/lock_stat"})
    EXPECT_EQ(stat(path).size, 0U) << path;
  EXPECT_EQ(stat("devices/system/memory/memory1/state").size, 4096U);
}

TEST(PlugDimm, WantsItsWords) {
  test_machine m;
  for (const auto bad :
       {"\n", "size", "size=", "size=x", "node=1", "size=128M node=", "size=128M nodes=1",
        "size=128M node=64", "128M", "size=128M extra"})
    EXPECT_EQ(m.debug("plug_dimm", bad), EINVAL) << bad;
  EXPECT_EQ(m.debug("plug_dimm", "node=1  size=0x8000000\n"), 0);
  EXPECT_TRUE(m.exists(test_machine::block(32, "node1")));
}

TEST(RemoveBlock, TakesProbedBlocksThatAreOfflineAndNoOthers) {
  test_machine m{with_dimm(1)};
  EXPECT_EQ(m.probe(40), 0);
  EXPECT_EQ(m.probe(41), 0);
  EXPECT_EQ(m.set(40, "online"), 0);
  EXPECT_EQ(m.debug("remove_block", "40"), EBUSY);
  EXPECT_EQ(m.set(40, "offline"), 0);
  EXPECT_EQ(m.debug("remove_block", "memory40\n"), 0);
  EXPECT_EQ(m.debug("remove_block", "41"), 0);
  EXPECT_EQ(m.debug("remove_block", "40"), ENODEV);
  EXPECT_EQ(m.debug("remove_block", "8192"), ENODEV);
  EXPECT_EQ(m.debug("remove_block", "0xffffffffffffffff"), ENODEV);
  EXPECT_EQ(m.debug("remove_block", "32"), EPERM);  // a DIMM's
  EXPECT_EQ(m.set(3, "offline"), 0);
  EXPECT_EQ(m.debug("remove_block", "3"), EPERM);  // boot memory
  EXPECT_EQ(m.debug("remove_block", "x"), EINVAL);
  EXPECT_EQ(m.probe(40), 0);
}

TEST(Pages, AreCountedAsUsedOnceAndBelongToOnlineMemory) {
  test_machine m{with_dimm(1)};
  EXPECT_EQ(m.set(32, "online"), 0);
  const auto used = [&] { return m.k().nodes[2]->used_pages.load(); };
  EXPECT_EQ(m.debug("page_reserve", "0x100000000 5"), 0);
  EXPECT_EQ(m.debug("page_reserve", "0x100002000 5"), 0);
  EXPECT_EQ(used(), 7U);
  EXPECT_EQ(m.debug("page_unreserve", "0x100000000 100"), 0);
  EXPECT_EQ(used(), 0U);
  EXPECT_EQ(m.debug("page_pin", "0x107fff000 2"), ENXIO);  // runs over the end
  EXPECT_EQ(used(), 1U);                                   // what is done stays done
  EXPECT_EQ(m.debug("page_pin", "0x200000000"), ENXIO);
  EXPECT_EQ(m.debug("page_pin", "0xffffffffffffffff"), ENXIO);
  for (const auto bad : {"x", "\n", "0 x", "0 1 2"})
    EXPECT_EQ(m.debug("page_pin", bad), EINVAL);
  EXPECT_EQ(m.debug("page_unpin", "0x107fff000"), 0);
  EXPECT_EQ(m.set(32, "offline"), 0);
}

TEST(Injection, FailsTheEventUntilItIsTakenBack) {
  test_machine m{with_dimm(1)};
  const auto file = [](std::string_view event) {
    return fmt::format("kernel/debug/notifier-error-inject/memory/actions/{}/error",
                       event);
  };
  EXPECT_EQ(m.read(file("MEM_GOING_ONLINE")), "0");
  EXPECT_EQ(m.inject("MEM_GOING_ONLINE", EPERM), 0);
  EXPECT_EQ(m.read(file("MEM_GOING_ONLINE")), "-1");
  EXPECT_EQ(m.set(32, "online"), EPERM);
  EXPECT_EQ(m.write(test_machine::block(32, "online"), "1"), EPERM);
  EXPECT_EQ(m.inject("MEM_GOING_ONLINE", 0), 0);
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.inject("MEM_GOING_OFFLINE", ENOMEM), 0);
  EXPECT_EQ(m.set(32, "offline"), ENOMEM);
  EXPECT_EQ(m.state(32), "online");
  EXPECT_EQ(m.write(file("MEM_GOING_OFFLINE"), "-99999"), 0);  // cut to the largest errno
  EXPECT_EQ(m.read(file("MEM_GOING_OFFLINE")), "-4095");
  EXPECT_EQ(m.write(file("MEM_GOING_OFFLINE"), "7"), 0);
  EXPECT_EQ(m.read(file("MEM_GOING_OFFLINE")), "0");
  EXPECT_EQ(m.write(file("MEM_GOING_OFFLINE"), "x"), EINVAL);
}

TEST(Uevents, AreKeptForReading) {
  test_machine m{with_dimm(1)};
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_THAT(
      m.read("kernel/debug/memhp/uevents"),
      testing::ContainsRegex("\nonline@/devices/system/memory/memory32 ACTION=online "
                             "DEVPATH=/devices/system/memory/memory32 "
                             "SUBSYSTEM=memory SEQNUM=[0-9]+$"));
}

}  // namespace
}  // namespace memhp
