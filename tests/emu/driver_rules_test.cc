// The four rules of memory hotplug, asked of every driver that adds memory: kernels that
// break one name the driver, the others are quiet.
#include "emu/eras.h"
#include "tests/emu/machine_fixture.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

struct driver_under_test {
  const char* name;
  platform_kind platform;
  const char* adds_in;  // the function that reaches add_memory()
  // Adds a block, brings it online and offline, and removes it.
  void (*use)(test_machine& m);
};

void online_offline(test_machine& m, std::uint64_t id) {
  EXPECT_EQ(m.set(id, "online"), 0);
  m->flush_workqueues();
  EXPECT_EQ(m.set(id, "offline"), 0);
}

const std::array drivers = {
    driver_under_test{"kmem", platform_kind::pc, "dax_kmem::probe",
                      [](test_machine& m) {
                        const std::string dir = "bus/dax/drivers/";
                        EXPECT_EQ(m.write(dir + "device_dax/unbind", "dax0.0"), 0);
                        EXPECT_EQ(m.write(dir + "kmem/new_id", "dax0.0"), 0);
                        online_offline(m, 32);
                        EXPECT_EQ(m.write(dir + "kmem/unbind", "dax0.0"), 0);
                        EXPECT_EQ(m.state(32), "errno 2");
                      }},
    driver_under_test{"hv_balloon", platform_kind::hyperv, "hv_balloon::work",
                      [](test_machine& m) {
                        EXPECT_EQ(m.debug("hv_balloon", "hot_add 0x180000000 32768"), 0);
                        m->flush_workqueues();
                        online_offline(m, 48);
                        EXPECT_EQ(m.debug("remove_block", "48"), 0);
                      }},
    driver_under_test{"xen_balloon", platform_kind::xen, "xen_balloon::",
                      [](test_machine& m) {
                        const std::string file =
                            "devices/system/xen_memory/xen_memory0/target_kb";
                        const auto kb = std::stoull(m.read(file)) + 128 * 1024;
                        EXPECT_EQ(m.write(file, std::to_string(kb)), 0);
                        m->flush_workqueues();
                        online_offline(m, 33);  // behind the dax device
                        EXPECT_EQ(m.debug("remove_block", "33"), 0);
                      }},
    driver_under_test{
        "dlpar", platform_kind::pseries, "never",
        [](test_machine& m) {
          EXPECT_EQ(m.write("kernel/dlpar", "memory add index 0x80000024"), 0);
          EXPECT_EQ(m.set(36, "offline"), 0);
          EXPECT_EQ(m.write("kernel/dlpar", "memory remove index 0x80000024"), 0);
        }},
};

std::vector<std::string> reports_of(const driver_under_test& driver,
                                    const lock_rules& rules) {
  const recorded_reports reports;
  machine_config config = two_nodes();
  config.dax = {{.size = block_size, .node = 1}};
  config.platform = driver.platform;
  config.rules = rules;
  test_machine m{config};
  driver.use(m);
  std::vector<std::string> texts;
  for (const lockdep_report& report : reports.all())
    texts.push_back(to_text(report, report_format_6_1));
  return texts;
}

TEST(DriverRules, AddingWithoutDeviceHotplugLockNamesTheDriver) {
  for (const driver_under_test& driver : drivers)
    for (const auto* era : {"v3.19", "v4.19"}) {
      const auto reports = reports_of(driver, *find_era(era));
      const bool named = std::ranges::any_of(reports, [&](const std::string& text) {
        return text.find("device_hotplug_lock") != std::string::npos &&
               text.find(driver.adds_in) != std::string::npos;
      });
      // pseries had the lock around a whole request from the beginning.
      EXPECT_EQ(named, driver.platform != platform_kind::pseries)
          << driver.name << ' ' << era << '\n'
          << (reports.empty() ? "" : reports.front());
    }
}

TEST(DriverRules, AfterSeed002EveryDriverIsQuiet) {
  for (const driver_under_test& driver : drivers)
    for (const lock_rules& rules : {patched, seed_era(0, seed_side::after).rules})
      for (const std::string& text : reports_of(driver, rules))
        ADD_FAILURE() << driver.name << ' ' << rules.era << '\n' << text;
}

// Between the two seeds the only order that is reported is seed 000's.
TEST(DriverRules, EveryRemovalUnderMemHotplugLockIsReported) {
  for (const driver_under_test& driver : drivers) {
    const auto reports = reports_of(driver, seed_era(0, seed_side::before).rules);
    ASSERT_EQ(reports.size(), 1U) << driver.name;
    EXPECT_THAT(reports.front(),
                testing::AllOf(testing::HasSubstr("circular locking dependency"),
                               testing::HasSubstr("remove_memory_block_devices+")));
  }
}

// A driver waits for the lock that another writer holds, and then adds.
TEST(DriverRules, ADriverWaitsForDeviceHotplugLock) {
  for (const driver_under_test& driver : drivers) {
    machine_config config = two_nodes();
    config.dax = {{.size = block_size, .node = 1}};
    config.platform = driver.platform;
    test_machine m{config};
    if (driver.platform == platform_kind::pc) {
      EXPECT_EQ(m.write("bus/dax/drivers/device_dax/unbind", "dax0.0"), 0);
    }
    const auto blocks = m.children(memory_dir, "memory").size();
    std::future<void> added;
    {
      guard hold{m.k().locks.device_hotplug_lock};
      added = std::async(std::launch::async, [&] {
        switch (driver.platform) {
          using enum platform_kind;
          case pc: (void)m.write("bus/dax/drivers/kmem/new_id", "dax0.0"); break;
          case hyperv: (void)m.debug("hv_balloon", "hot_add 0x180000000 32768"); break;
          case xen:
            (void)m.write("devices/system/xen_memory/xen_memory0/target", "2G");
            break;
          case pseries: (void)m.write("kernel/dlpar", "memory add count 1"); break;
        }
        m->flush_workqueues();
      });
      EXPECT_TRUE(still_waits(added)) << driver.name;
      EXPECT_EQ(m.children(memory_dir, "memory").size(), blocks);
    }
    added.get();
    EXPECT_GT(m.children(memory_dir, "memory").size(), blocks) << driver.name;
  }
}

}  // namespace
}  // namespace memhp
