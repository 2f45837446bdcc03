// The driver that takes memory away: what it does, and what it holds in each era.
#include "emu/memtrace.h"

#include "emu/eras.h"
#include "tests/emu/machine_fixture.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

constexpr const char* enable = "kernel/debug/powerpc/memtrace/enable";

machine_config of_era(std::string_view era) {
  machine_config config = two_nodes();
  config.rules = *find_era(era);
  return config;
}

TEST(Memtrace, TakesTheTopOfEachNodeAndGivesItBack) {
  for (const auto* era : {"v3.19", "v4.19", "v4.20", "patched"}) {
    test_machine m{of_era(era)};
    EXPECT_EQ(m.read(enable), "0x0000000000000000");
    EXPECT_EQ(m.write(enable, "0x8000000"), 0) << era;
    EXPECT_EQ(m.read(enable), "0x0000000008000000");
    // memory7 has the firmware's tables: the block below it goes.
    EXPECT_FALSE(m.exists(test_machine::block(3, "state")));
    EXPECT_FALSE(m.exists(test_machine::block(6, "state")));
    EXPECT_EQ(m.state(7), "online");
    EXPECT_EQ(m.write(enable, "0"), 0);
    EXPECT_EQ(m.state(3), "online");
    EXPECT_EQ(m.state(6), "online");
    // Nobody else may remove them.
    EXPECT_EQ(m.set(3, "offline"), 0);
    EXPECT_EQ(m.debug("remove_block", "3"), EPERM);
  }
}

TEST(Memtrace, RefusesWhatIsNoBlockAndWhatNoNodeHas) {
  test_machine m;
  EXPECT_EQ(m.write(enable, "4096"), EINVAL);
  EXPECT_EQ(m.write(enable, "1T"), ENOMEM);
  EXPECT_EQ(m.write(enable, "word"), EINVAL);
  EXPECT_EQ(m.read(enable), "0x0000000000000000");
  EXPECT_EQ(m.state(3), "online");
}

// A block that refuses puts the others back; lower ones are tried instead.
TEST(Memtrace, PutsBackWhatItOfflinedWhereAnotherBlockRefuses) {
  test_machine m;
  EXPECT_EQ(m.reserve(2), 0);
  EXPECT_EQ(m.reserve(5), 0);
  EXPECT_EQ(m.write(enable, "256M"), ENOMEM);
  for (const unsigned id : {0, 1, 2, 3, 4, 5, 6, 7}) EXPECT_EQ(m.state(id), "online");
}

// Whether device_hotplug_lock is held while its memory goes offline, and online.
std::pair<bool, bool> holds_device_hotplug_lock(std::string_view era) {
  test_machine m{of_era(era)};
  std::pair<bool, bool> held;
  const memory_notifier notifier{
      .name = "recorder", .call = [&](memory_event event, const memory_notify&) {
        const bool now = m.k().locks.device_hotplug_lock.held_by_me();
        if (event == memory_event::going_offline) held.first = now;
        if (event == memory_event::going_online) held.second = now;
        return result<>{};
      }};
  m.k().memory_chain.add(notifier);
  EXPECT_EQ(m.write(enable, "128M"), 0);
  EXPECT_EQ(m.write(enable, "0"), 0);
  m.k().memory_chain.remove(notifier);
  return held;
}

TEST(Memtrace, TakesDeviceHotplugLockSinceSeed002) {
  EXPECT_EQ(holds_device_hotplug_lock("v3.19"), std::pair(false, false));
  EXPECT_EQ(holds_device_hotplug_lock("381eab4a6ee8"), std::pair(false, false));
  EXPECT_EQ(holds_device_hotplug_lock("cec1680591d6"), std::pair(false, true));
  EXPECT_EQ(holds_device_hotplug_lock("5666848774ef"), std::pair(true, true));
  EXPECT_EQ(holds_device_hotplug_lock("patched"), std::pair(true, true));
}

}  // namespace
}  // namespace memhp
