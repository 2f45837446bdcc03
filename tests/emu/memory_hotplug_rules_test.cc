// The lock rules: what aborts when it is broken, and what is held while a removal waits.
#include <fcntl.h>

#include "tests/emu/machine_fixture.h"

namespace memhp {
namespace {

// Each breaks one rule; the analysis would not let them.
void add_unlocked(test_machine& m) NO_THREAD_SAFETY_ANALYSIS {
  (void)add_memory(m.k(), 0, m.range_of(60));
}
void remove_unlocked(test_machine& m) NO_THREAD_SAFETY_ANALYSIS {
  (void)remove_memory(m.k(), m.range_of(32));
}
void remove_devices_unlocked(test_machine& m) NO_THREAD_SAFETY_ANALYSIS {
  remove_memory_block_devices(m.k(), m.range_of(32));
}
void online_unlocked(test_machine& m) {
  task by;
  (void)device_online(m.device_of(32), by);
}
void offline_unlocked(test_machine& m) {
  task by;
  (void)device_offline(m.device_of(32), by);
}
void online_pages_with(test_machine& m, bool hotplug,
                       bool mem) NO_THREAD_SAFETY_ANALYSIS {
  hotplug_locks& locks = m.k().locks;
  if (hotplug) locks.device_hotplug_lock.lock();
  if (mem) locks.mem_hotplug_lock.lock();
  (void)online_pages(m.k(), m.device_of(32).block, m.zone_of(2, zone_type::normal));
}
void offline_pages_with(test_machine& m, bool hotplug,
                        bool mem) NO_THREAD_SAFETY_ANALYSIS {
  hotplug_locks& locks = m.k().locks;
  if (hotplug) locks.device_hotplug_lock.lock();
  if (mem) locks.mem_hotplug_lock.lock();
  task by;
  (void)offline_pages(m.k(), m.device_of(32).block, by);
}

TEST(RulesDeathTest, AddRemoveOnlineAndOfflineWantDeviceHotplugLock) {
  test_machine m{with_dimm(1)};
  const auto broken = "lock must be held here: device_hotplug_lock";
  EXPECT_DEATH(add_unlocked(m), broken);
  EXPECT_DEATH(remove_unlocked(m), broken);
  EXPECT_DEATH(remove_devices_unlocked(m), broken);
  EXPECT_DEATH(online_unlocked(m), broken);
  EXPECT_DEATH(offline_unlocked(m), broken);
  EXPECT_DEATH(online_pages_with(m, false, true), broken);
  EXPECT_DEATH(offline_pages_with(m, false, true), broken);
}

TEST(RulesDeathTest, PagesChangeUnderMemHotplugLockOnly) {
  test_machine m{with_dimm(1)};
  const auto broken = "lock must be held for writing here: mem_hotplug_lock";
  EXPECT_DEATH(online_pages_with(m, true, false), broken);
  EXPECT_DEATH(offline_pages_with(m, true, false), broken);
}

TEST(RulesDeathTest, AStateThatTheTableDoesNotHaveAborts) {
  test_machine m{with_dimm(1)};
  EXPECT_DEATH(
      (void)m.device_of(32).block.change_state(block_state::absent, block_state::online),
      "impossible block state: absent");
}

TEST(Restart, AWriteThatFindsTheLockTakenHoldsNothingUntilItIsRepeated) {
  test_machine m{with_dimm(1)};
  kernel& k = m.k();
  auto file = *kernfs_open_file::open(**m->sysfs().find(test_machine::block(32, "state")),
                                      O_WRONLY);
  const auto write_elsewhere = [&](std::string_view text) {
    return std::async(std::launch::async,
                      [&, text] {
                        task by;
                        return error_of(file->write(text, by));
                      })
        .get();
  };
  guard hold{k.locks.device_hotplug_lock};
  EXPECT_EQ(write_elsewhere("online"), static_cast<int>(restart_no_intr));
  EXPECT_EQ(write_elsewhere("nonsense"), EINVAL);  // parsed before any lock
  // Would wait for ever for an active reference of the writer.
  EXPECT_EQ(error_of(remove_memory(k, m.range_of(32))), 0);
  EXPECT_EQ(write_elsewhere("online"), ENODEV);
}

TEST(Restart, EveryWriteThatChangesMemoryOnlyTriesTheLock) {
  test_machine m{with_dimm(1)};
  guard hold{m.k().locks.device_hotplug_lock};
  for (const auto& [path, text] :
       {std::pair{test_machine::block(32, "state"), "online"},
        {test_machine::block(32, "online"), "0"},
        {std::string{"devices/system/memory/probe"}, "0x140000000"},
        {std::string{"kernel/debug/memhp/plug_dimm"}, "size=128M node=0"},
        {std::string{"kernel/debug/memhp/remove_block"}, "32"}}) {
    const auto file = *kernfs_open_file::open(**m->sysfs().find(path), O_WRONLY);
    auto answer = std::async(std::launch::async, [&file, word = text] {
      task by;
      return error_of(file->write(word, by));
    });
    EXPECT_EQ(answer.get(), static_cast<int>(restart_no_intr)) << path;
  }
}

// A file of the block is being read, and its show wants mem_hotplug_lock while the
// removal drains it. Returns whether it got it.
std::string read_during_removal(const lock_rules& rules) {
  machine_config config = with_dimm(1);
  config.rules = rules;
  test_machine m{config};
  kernel& k = m.k();
  stopped_file stopped;
  const kernfs_ref file =
      *k.sysfs.create_file(*m.device_of(32).dir, stopped_attr, stopped);
  stopped.finish = [&] {
    if (!k.locks.mem_hotplug_lock.try_lock_shared()) return "held by the removal";
    k.locks.mem_hotplug_lock.unlock_shared();
    return "free";
  };
  auto shown = std::async(std::launch::async,
                          [&] { return m.read(test_machine::block(32, "stopped")); });
  stopped.entered.wait();
  auto removed = std::async(std::launch::async, [&] {
    guard hold{k.locks.device_hotplug_lock};
    return error_of(remove_memory(k, m.range_of(32)));
  });
  EXPECT_TRUE(eventually([&] { return !file->active(); }));
  EXPECT_TRUE(still_waits(removed));
  EXPECT_EQ(m.read(test_machine::block(32, "stopped")), "errno 2");
  stopped.go_on.count_down();
  EXPECT_EQ(removed.get(), 0);
  EXPECT_FALSE(m.exists(test_machine::block(32, "")));
  return shown.get();
}

TEST(Drain, DoesNotHoldMemHotplugLock) {
  EXPECT_EQ(read_during_removal(patched), "free");
}

TEST(Drain, HoldsItUnderTheRulesThatDeadlocked) {
  lock_rules before = patched;
  before.removal = remove_devices::under_mem_hotplug_lock;
  EXPECT_EQ(read_during_removal(before), "held by the removal");
}

// What an in-kernel caller that still has the device is told once removal has begun.
int online_in_the_middle_of_removal(const lock_rules& rules) {
  machine_config config = with_dimm(1);
  config.rules = rules;
  test_machine m{config};
  kernel& k = m.k();
  memory_block_device& dev = m.device_of(32);
  int answer = -1;
  // The remove event is sent by the remover, with device_hotplug_lock held.
  m.on_uevent = [&](const std::string& event) {
    if (!event.starts_with("remove@/devices/system/memory/")) return;
    task by;
    answer = error_of(device_online(dev, by));
  };
  guard hold{k.locks.device_hotplug_lock};
  EXPECT_EQ(error_of(remove_memory(k, m.range_of(32))), 0);
  return answer;
}

TEST(SectionCount, ABlockUnderRemovalCannotGoOnline) {
  EXPECT_EQ(online_in_the_middle_of_removal(patched), ENXIO);
}

}  // namespace
}  // namespace memhp
