// dax devices, what their drivers do with them, and the report of seed 000 on the way
// out of kmem.
#include <fcntl.h>

#include "emu/dax_bus.h"
#include "emu/eras.h"
#include "emu/slab.h"
#include "tests/emu/machine_fixture.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* dax0 =
    "devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region0/dax0.1/dax0.0";

// Two nodes and a dax device in node 2, from block 32 on.
machine_config with_dax(std::uint64_t size) {
  machine_config config = two_nodes();
  config.dax = {{.size = size, .node = 2}};
  return config;
}

class dax_machine : public test_machine {
 public:
  explicit dax_machine(machine_config config = with_dax(2 * block_size))
      : test_machine{std::move(config)} {}

  int tell(const std::string& driver, const std::string& file,
           std::string_view name = "dax0.0") {
    return write("bus/dax/drivers/" + driver + "/" + file, name);
  }
  // From device_dax to kmem.
  int to_kmem() {
    EXPECT_EQ(tell("device_dax", "unbind"), 0);
    return tell("kmem", "new_id");
  }
  std::string driver() {
    const auto link = (**this).sysfs().find(std::string{dax0} + "/driver");
    if (!link) return "none";
    const std::string target = (**this).sysfs().readlink(**link);
    return target.substr(target.rfind('/') + 1);
  }
  std::string attr(std::string_view file) {
    return read(fmt::format("{}/{}", dax0, file));
  }
};

TEST(Dax, ADeviceShowsItsAttributes) {
  dax_machine m;
  EXPECT_EQ(m.driver(), "device_dax");
  EXPECT_EQ(m.attr("size"), "268435456");
  EXPECT_EQ(m.attr("target_node"), "2");
  EXPECT_EQ(m.attr("numa_node"), "0");  // node 2 has no CPUs
  EXPECT_EQ(m.attr("align"), "2097152");
  EXPECT_EQ(m.attr("resource"), "0x100000000");
  EXPECT_EQ(m.attr("mapping0/start"), "0x100000000");
  EXPECT_EQ(m.attr("mapping0/end"), "0x10fffffff");
  EXPECT_EQ(m.attr("mapping0/page_offset"), "0");
  EXPECT_EQ(m.attr("modalias"), "dax:t0");
  EXPECT_EQ(m.read("devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region0/dax0.1/"
                   "dax_region/id"),
            "0");
  EXPECT_EQ(m.attr("uevent"),
            "MAJOR=252\nMINOR=0\nDEVNAME=dax0.0\nDRIVER=device_dax\nMODALIAS=dax:t0");
  EXPECT_EQ(m.read("module/kmem/initstate"), "live");
  EXPECT_EQ(m.read("module/device_dax/initstate"), "live");
  EXPECT_FALSE(m.exists(test_machine::block(32, "state")));
}

TEST(Dax, KmemAddsOnlinesOfflinesAndRemoves) {
  dax_machine m;
  EXPECT_EQ(m.nodes("online"), "0-1");
  (void)m.new_uevents();
  EXPECT_EQ(m.to_kmem(), 0);
  EXPECT_EQ(m.driver(), "kmem");
  EXPECT_THAT(m.new_uevents(),
              ElementsAre(HasSubstr("unbind@/devices/LNX"), HasSubstr("add@"),
                          HasSubstr("add@"), HasSubstr("add@/devices/system/node/node2"),
                          HasSubstr("bind@/devices/LNX")));
  EXPECT_THAT(m.read("proc/iomem"),
              HasSubstr("100000000-10fffffff : Persistent Memory\n"
                        "  100000000-10fffffff : dax0.0\n"
                        "    100000000-10fffffff : System RAM (kmem)"));
  EXPECT_EQ(m.set(32, "online_movable"), 0);
  EXPECT_EQ(m.set(33, "online_kernel"), 0);
  EXPECT_EQ(m.zone_of(2, zone_type::movable).pages().present, block_pages);
  EXPECT_EQ(m.zone_of(2, zone_type::normal).pages().present, block_pages);
  EXPECT_EQ(m.mem_total_kib(2), 2 * block_size / KiB);
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_EQ(m.set(33, "offline"), 0);
  EXPECT_EQ(m.tell("kmem", "unbind"), 0);
  EXPECT_EQ(m.driver(), "none");
  EXPECT_EQ(m.state(32), "errno 2");
  EXPECT_EQ(m.nodes("online"), "0-1");
  // And back, both ways.
  EXPECT_EQ(m.tell("kmem", "bind"), 0);
  EXPECT_EQ(m.state(33), "offline");
  EXPECT_EQ(m.tell("kmem", "unbind"), 0);
  EXPECT_EQ(m.tell("device_dax", "bind"), 0);
}

TEST(Dax, KmemTakesTheWholeBlocksOnly) {
  test_machine m;
  // From the middle of block 32 into block 35.
  EXPECT_EQ(m.debug("plug_dax", "size=352M node=1 start=0x104000000"), 0);
  EXPECT_EQ(m.write("bus/dax/drivers/device_dax/unbind", "dax0.0"), 0);
  EXPECT_EQ(m.write("bus/dax/drivers/kmem/new_id", "dax0.0"), 0);
  EXPECT_FALSE(m.exists(test_machine::block(32, "state")));
  EXPECT_EQ(m.state(33), "offline");
  EXPECT_EQ(m.state(34), "offline");
  EXPECT_FALSE(m.exists(test_machine::block(35, "state")));
}

TEST(Dax, KmemRejectsADeviceWithoutAWholeBlock) {
  test_machine m;
  EXPECT_EQ(m.debug("plug_dax", "size=128M node=1 start=0x104000000"), 0);
  EXPECT_EQ(m.write("bus/dax/drivers/device_dax/unbind", "dax0.0"), 0);
  EXPECT_EQ(m.write("bus/dax/drivers/kmem/new_id", "dax0.0"), 0);  // not its business
  EXPECT_EQ(m.write("bus/dax/drivers/kmem/bind", "dax0.0"), EINVAL);
  EXPECT_THAT(m.log, testing::Contains(
                         HasSubstr("mapping0: 0x104000000-0x10bffffff too small after "
                                   "alignment")));
  EXPECT_THAT(m.log.back(), HasSubstr("kmem: probe of dax0.0 failed with error -22"));
}

TEST(Dax, ABlockThatIsOnlineKeepsTheRangeUntilReboot) {
  dax_machine m;
  EXPECT_EQ(m.to_kmem(), 0);
  EXPECT_EQ(m.set(33, "online"), 0);
  EXPECT_EQ(m.tell("kmem", "unbind"), 0);  // an unbind cannot fail
  EXPECT_EQ(m.driver(), "none");
  EXPECT_THAT(m.log.back(),
              HasSubstr("kmem dax0.0: mapping0: 0x100000000-0x10fffffff cannot be "
                        "hotremoved until the next reboot"));
  EXPECT_EQ(m.state(32), "offline");
  EXPECT_EQ(m.state(33), "online");
  EXPECT_EQ(m.set(33, "offline"), 0);  // too late
  EXPECT_EQ(m.tell("kmem", "bind"), EBUSY);
  EXPECT_EQ(m.tell("device_dax", "bind"), EBUSY);
  EXPECT_EQ(m.driver(), "none");
  EXPECT_FALSE(m.exists("bus/dax/drivers/kmem/dax0.0"));
  EXPECT_EQ(m.debug("remove_block", "33"), EPERM);
}

TEST(Dax, BindingRefusesWhatDoesNotFit) {
  dax_machine m;
  EXPECT_EQ(m.tell("kmem", "bind"), ENODEV);  // no such id yet
  EXPECT_EQ(m.tell("kmem", "unbind"), ENODEV);
  EXPECT_EQ(m.tell("device_dax", "bind"), EBUSY);
  EXPECT_EQ(m.tell("device_dax", "bind", "dax1.0"), ENODEV);
  for (const auto* name : {"dax0", "dax0.", "dax0.0x", "dax00.0", "pmem0.0", "dax0.0 "})
    EXPECT_EQ(m.tell("kmem", "new_id", name), EINVAL) << name;
  EXPECT_EQ(m.tell("kmem", "new_id"), 0);  // remembered; another driver has it
  EXPECT_EQ(m.driver(), "device_dax");
  EXPECT_EQ(m.tell("device_dax", "unbind"), 0);
  EXPECT_EQ(m.tell("kmem", "remove_id"), 0);
  EXPECT_EQ(m.tell("kmem", "bind"), ENODEV);
  EXPECT_EQ(m.write("bus/dax/drivers_probe", "dax0.0"), 0);
  EXPECT_EQ(m.driver(), "device_dax");
  EXPECT_EQ(m.write("bus/dax/drivers_probe", "dax9.0"), ENODEV);
  // As daxctl writes: with the NUL behind it.
  EXPECT_EQ(m.tell("device_dax", "unbind", std::string_view{"dax0.0\0", 7}), 0);
  EXPECT_EQ(m.tell("kmem", "new_id", std::string_view{"dax0.0\0", 7}), 0);
  EXPECT_EQ(m.driver(), "kmem");
}

TEST(Dax, PluggingRefusesWhatCannotBe) {
  test_machine m;
  EXPECT_EQ(m.debug("plug_dax", "size=1M node=1"), EINVAL);
  EXPECT_EQ(m.debug("plug_dax", "size=0 node=1"), EINVAL);
  EXPECT_EQ(m.debug("plug_dax", "size=2M node=9"), EINVAL);
  EXPECT_EQ(m.debug("plug_dax", "size=2M node=1 start=4096"), EINVAL);
  EXPECT_EQ(m.debug("plug_dax", "size=2M node=1 start=0"), EEXIST);
  EXPECT_EQ(m.debug("plug_dax", "size=2T node=1"), ENOSPC);
  EXPECT_EQ(m.debug("plug_dax", "size=2M start=0xfffffffffff00000"), EINVAL);
  EXPECT_EQ(m.debug("plug_dimm", "size=128M node=1 start=0x100000000"), EINVAL);
  machine_config odd = with_dax(3 * MiB);
  EXPECT_FALSE(validate(odd).has_value());
  odd = with_dax(2 * TiB);
  EXPECT_FALSE(validate(odd).has_value());
}

// --- seed 000 --------------------------------------------------------------------------

machine_config of_rules(const lock_rules& rules) {
  machine_config config = with_dax(2 * block_size);
  config.rules = rules;
  return config;
}

// What a kernel does one after the other: a cache at boot, a block online and offline
// again, and the dax device taken from kmem.
void online_then_unbind(dax_machine& m) {
  EXPECT_EQ(m.debug("kmem_cache_create", "ptlock size=64"), 0);
  EXPECT_EQ(m.to_kmem(), 0);
  EXPECT_EQ(m.set(32, "online"), 0);
  EXPECT_EQ(m.set(32, "offline"), 0);
  EXPECT_EQ(m.tell("kmem", "unbind"), 0);
  EXPECT_EQ(m.state(32), "errno 2");
}

TEST(DaxLockOrder, BeforeSeed000TheUnbindIsReported) {
  const recorded_reports reports;
  const kernel_era& before = seed_era(0, seed_side::before);
  dax_machine m{of_rules(before.rules)};
  online_then_unbind(m);
  ASSERT_EQ(reports.count(), 1U);
  const std::string text = to_text(reports.all().front(), before.words);
  EXPECT_THAT(text, testing::ContainsRegex(
                        "Chain exists of:\n +kn->count(#[0-9]+)? --> "
                        "cpu_hotplug_lock.rw_sem --> mem_hotplug_lock.rw_sem"));
  // #0: from the write to `unbind` down to the drain.
  std::size_t at = text.find("-> #0");
  for (const char* function : {"drain+", "device_del+", "remove_memory_block_devices+",
                               "remove_memory+", "dax_kmem::remove+", "unbind_store+"}) {
    at = text.find(function, at);
    ASSERT_NE(at, std::string::npos) << function << '\n' << text;
  }
}

TEST(DaxLockOrder, AfterSeed000ItIsQuiet) {
  for (const lock_rules& rules : {patched, seed_era(0, seed_side::after).rules}) {
    const recorded_reports reports;
    dax_machine m{of_rules(rules)};
    online_then_unbind(m);
    for (const lockdep_report& report : reports.all())
      ADD_FAILURE() << rules.era << to_text(report, report_format_6_1);
  }
}

// The remover has device_hotplug_lock: a writer of `state` that is in the middle of its
// write starts again, and finds the file gone.
TEST(DaxLockOrder, AnOnlinerThatRacesWithTheUnbindGetsEnodev) {
  dax_machine m;
  EXPECT_EQ(m.to_kmem(), 0);
  auto file = kernfs_open_file::open(**m->sysfs().find(test_machine::block(33, "state")),
                                     O_WRONLY);
  ASSERT_TRUE(file);
  int tried = 0;
  m.on_uevent = [&](const std::string& event) {
    if (event != "remove@/devices/system/memory/memory32") return;
    tried = std::async(std::launch::async, [&] {
              task by;
              return error_of((*file)->write("online", by));
            }).get();
  };
  EXPECT_EQ(m.tell("kmem", "unbind"), 0);
  EXPECT_EQ(tried, static_cast<int>(restart_no_intr));
  task by;
  EXPECT_EQ(error_of((*file)->write("online", by)), ENODEV);
}

// From inside the kernel there is no file that could be gone: seed 000's check answers.
TEST(DaxLockOrder, AnOnlinerInsideTheKernelGetsEnxioFromTheFourthVersion) {
  dax_machine m;
  EXPECT_EQ(m.to_kmem(), 0);
  int tried = 0;
  m.on_uevent = [&](const std::string& event) {
    if (event != "remove@/devices/system/memory/memory32") return;
    m.k().locks.assert_held_device_hotplug();  // the remover's, on whose thread we are
    task kthread;
    tried = error_of(device_online(m.device_of(32), kthread));
  };
  EXPECT_EQ(m.tell("kmem", "unbind"), 0);
  EXPECT_EQ(tried, ENXIO);
}

TEST(DaxLockOrder, TheUnbindHoldsTheDeviceAndDeviceHotplugLock) {
  dax_machine m;
  EXPECT_EQ(m.to_kmem(), 0);
  bool seen = false;
  std::future<std::string> late;
  m.on_uevent = [&](const std::string& event) {
    if (event != "remove@/devices/system/memory/memory32") return;
    m.k().locks.device_hotplug_lock.assert_held();
    // `size` takes the device's lock: somebody else must wait for it.
    late = std::async(std::launch::async, [&] { return m.attr("size"); });
    seen = still_waits(late);
  };
  EXPECT_EQ(m.tell("kmem", "unbind"), 0);
  EXPECT_TRUE(seen);
  EXPECT_EQ(late.get(), "268435456");
}

}  // namespace
}  // namespace memhp
