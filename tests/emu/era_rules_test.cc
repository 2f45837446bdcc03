// The four rules of memory hotplug in kernels that break them: who is named, who may go
// on, and who takes which lock.
#include "emu/eras.h"
#include "tests/emu/machine_fixture.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

machine_config of_era(std::string_view era) {
  machine_config config = with_dimm(2);
  config.rules = *find_era(era);
  return config;
}

// The assertions that failed, with the functions that led there.
std::vector<std::string> broken_rules(std::string_view era,
                                      const std::function<void(test_machine&)>& use) {
  const recorded_reports reports;
  test_machine m{of_era(era)};
  use(m);
  std::vector<std::string> broken;
  for (const lockdep_report& report : reports.all())
    if (const auto* failed = std::get_if<assert_report>(&report))
      broken.push_back(to_text(*failed, report_format_4_17));
  return broken;
}

void online(test_machine& m) {
  EXPECT_EQ(m.write(test_machine::block(32, "online"), "1"), 0);
}
void state(test_machine& m) {
  EXPECT_EQ(m.set(32, "online"), 0);
}
void probe(test_machine& m) {
  EXPECT_EQ(m.probe(48), 0);
}
void memtrace(test_machine& m) {
  EXPECT_EQ(m.write("kernel/debug/powerpc/memtrace/enable", "128M"), 0);
}

TEST(EraRules, OnlineIsNamedWhereItHasNoMemHotplugLock) {
  for (const auto* era : {"v4.1", "v4.12", "v4.19"}) {
    const auto broken = broken_rules(era, online);
    ASSERT_EQ(broken.size(), 1U) << era;
    EXPECT_THAT(broken[0], testing::AllOf(testing::HasSubstr("lockdep_assert_held_write"),
                                          testing::HasSubstr("emu/memory_hotplug.cc:"),
                                          testing::HasSubstr("online_pages+"),
                                          testing::HasSubstr("device_online+")));
    EXPECT_THAT(broken[0], testing::Not(testing::HasSubstr("state_store")));
    EXPECT_TRUE(broken_rules(era, state).empty()) << era;
  }
  for (const auto* era : {"v3.19", "381eab4a", "today", "patched"})
    EXPECT_TRUE(broken_rules(era, online).empty()) << era;
}

TEST(EraRules, ProbeIsNamedWhereItHasNoDeviceHotplugLock) {
  for (const auto* era : {"v3.19", "v4.1", "v4.19", "d15e59260f62"}) {
    const auto broken = broken_rules(era, probe);
    ASSERT_EQ(broken.size(), 1U) << era;
    EXPECT_THAT(broken[0], testing::AllOf(testing::HasSubstr("device_hotplug_lock"),
                                          testing::HasSubstr("probe_store+")));
  }
  for (const auto* era : {"8df1d0e4a265", "v4.20", "patched"})
    EXPECT_TRUE(broken_rules(era, probe).empty()) << era;
}

TEST(EraRules, MemtraceIsNamedUntilTheLastOfSeed002) {
  for (const auto* era : {"v4.19", "381eab4a6ee8", "cec1680591d6"})
    EXPECT_FALSE(broken_rules(era, memtrace).empty()) << era;
  EXPECT_TRUE(broken_rules("5666848774ef", memtrace).empty());
}

// --- who takes device_hotplug_lock
// ------------------------------------------------------

TEST(EraRules, ProbeDoesNotWaitForDeviceHotplugLockBefore8df1d0e4) {
  const auto probe_with_the_lock_held = [](std::string_view era) {
    test_machine m{of_era(era)};
    guard hold{m.k().locks.device_hotplug_lock};
    const auto file =
        *kernfs_open_file::open(**m->sysfs().find("devices/system/memory/probe"), 1);
    return std::async(std::launch::async,
                      [&file] {
                        task by;
                        return error_of(file->write("0x180000000", by));
                      })
        .get();
  };
  EXPECT_EQ(probe_with_the_lock_held("d15e59260f62"), 0);
  EXPECT_EQ(probe_with_the_lock_held("8df1d0e4a265"), static_cast<int>(restart_no_intr));
}

TEST(EraRules, ADriverThatAddsWaitsForTheLockSince8df1d0e4) {
  const auto add = [](test_machine& m) {
    return std::async(std::launch::async, [&m] {
      return error_of(add_memory_by(adder::driver, m.k(), 0, m.range_of(48)));
    });
  };
  {
    test_machine m{of_era("d15e59260f62")};
    guard hold{m.k().locks.device_hotplug_lock};
    EXPECT_EQ(add(m).get(), 0);
  }
  test_machine m{of_era("8df1d0e4a265")};
  std::future<int> added;
  {
    guard hold{m.k().locks.device_hotplug_lock};
    added = add(m);
    EXPECT_TRUE(still_waits(added));
  }
  EXPECT_EQ(added.get(), 0);
}

TEST(EraRulesDeathTest, ADriverThatRemovesHoldsTheLockItselfBeforeD15e5926) {
  {
    test_machine m{of_era("d50d82faa0c9")};
    EXPECT_DEATH((void)remove_memory_by_driver(m.k(), m.range_of(32)),
                 "lock must be held here: device_hotplug_lock");
    guard hold{m.k().locks.device_hotplug_lock};
    EXPECT_EQ(error_of(remove_memory_by_driver(m.k(), m.range_of(32))), 0);
  }
  test_machine m{of_era("d15e59260f62")};
  EXPECT_EQ(error_of(remove_memory_by_driver(m.k(), m.range_of(32))), 0);
}

// Those that break a rule by design go on without the validator; the others abort.
TEST(EraRulesDeathTest, AbortWhereTheyAreKept) {
  const auto online_pages_without_mem = [](test_machine& m) {
    guard hold{m.k().locks.device_hotplug_lock};
    return error_of(
        online_pages(m.k(), m.device_of(32).block, m.zone_of(2, zone_type::normal)));
  };
  {
    test_machine m{of_era("v4.19")};
    EXPECT_EQ(online_pages_without_mem(m), 0);
  }
  for (const auto* era : {"v3.19", "381eab4a6ee8", "today"}) {
    test_machine m{of_era(era)};
    EXPECT_DEATH((void)online_pages_without_mem(m),
                 "lock must be held for writing here: mem_hotplug");
  }
}

// --- seed 001: the lock order that hung
// --------------------------------------------------

// Between the uevent of a new block and its driver's probe an adder of that time wants
// dev->mutex, with mem_hotplug.lock held. Whoever has dev->mutex and wants the other is
// stuck with it; in the order of the fix nobody has.
TEST(EraRules, StateHasMemHotplugLockBeforeDevMutexSinceSeed001) {
  const auto writer_has_dev_mutex = [](std::string_view era) {
    test_machine m{of_era(era)};
    std::future<int> writer;
    bool has_it = false;
    {
      guard adder{m.k().locks.mem_hotplug_lock};
      writer = std::async(std::launch::async, [&] { return m.set(32, "online"); });
      auto& dev = m.device_of(32);
      has_it = eventually([&] {
        if (!m.k().locks.device_hotplug_lock.try_lock()) return true;
        m.k().locks.device_hotplug_lock.unlock();
        return false;
      });
      // It has device_hotplug_lock; in v3.19 dev->mutex follows without a wait.
      const auto taken = [&] {
        if (!dev.lock.try_lock()) return true;
        dev.lock.unlock();
        return false;
      };
      has_it = has_it && (era == "v3.19" ? eventually(taken) : taken());
      EXPECT_TRUE(still_waits(writer));
    }
    EXPECT_EQ(writer.get(), 0);
    return has_it;
  };
  EXPECT_TRUE(writer_has_dev_mutex("v3.19"));
  EXPECT_FALSE(writer_has_dev_mutex("30467e0b3be8"));
}

}  // namespace
}  // namespace memhp
