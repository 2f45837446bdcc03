// The reader/writer lock of 3.16 to 4.12, with what was good and bad about it.
#include "emu/homemade_hotplug_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "emu/eras.h"
#include "tests/emu/machine_fixture.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

constexpr lock_class_key map_key{.name = "mem_hotplug.lock", .wait_type = 0};
constexpr lock_class_key inside_key{.name = "mem_hotplug.lock"};

auto write_elsewhere(homemade_hotplug_lock& lock) {
  return std::async(std::launch::async, [&lock] {
    guard hold{lock};
    return true;
  });
}
bool read_elsewhere(homemade_hotplug_lock& lock) {
  return std::async(std::launch::async,
                    [&lock] {
                      read_guard hold{lock};
                      return true;
                    })
      .get();
}

TEST(HomemadeHotplugLock, TheWriterMayReadAndReadersNest) NO_THREAD_SAFETY_ANALYSIS {
  const recorded_reports reports;
  homemade_hotplug_lock lock{map_key, inside_key};
  {
    guard hold{lock};
    EXPECT_TRUE(lock.held_by_me());
    lock.lock_shared();
    lock.lock_shared();
    EXPECT_TRUE(lock.try_lock_shared());
    for (int i = 0; i < 3; ++i) lock.unlock_shared();
    EXPECT_TRUE(lock.held_by_me());
    EXPECT_FALSE(lock.is_held());  // the writer's reads do not count
  }
  lock.lock_shared();
  lock.lock_shared();
  lock.unlock_shared();
  EXPECT_TRUE(lock.is_held());
  lock.unlock_shared();
  EXPECT_FALSE(lock.is_held());
  EXPECT_EQ(reports.count(), 0U);  // the reads are recursive ones
}

TEST(HomemadeHotplugLock, TheWriterKeepsReadersOut) {
  homemade_hotplug_lock lock{map_key, inside_key};
  std::future<bool> reader;
  {
    guard hold{lock};
    EXPECT_FALSE(std::async(std::launch::async, [&]() NO_THREAD_SAFETY_ANALYSIS {
                   const bool got = lock.try_lock_shared();
                   if (got) lock.unlock_shared();
                   return got;
                 }).get());
    reader = std::async(std::launch::async, [&] {
      read_guard inside{lock};
      return true;
    });
    EXPECT_TRUE(still_waits(reader));
  }
  EXPECT_TRUE(reader.get());
}

TEST(HomemadeHotplugLock, ReadersStarveWriters) NO_THREAD_SAFETY_ANALYSIS {
  homemade_hotplug_lock lock{map_key, inside_key};
  lock.lock_shared();
  auto writer = write_elsewhere(lock);
  EXPECT_TRUE(still_waits(writer));
  // The writer waits, and yet whoever comes now gets in.
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(read_elsewhere(lock));
  EXPECT_TRUE(still_waits(writer));
  lock.unlock_shared();
  EXPECT_TRUE(writer.get());  // woken by the last reader
}

// What a percpu rwsem refuses: a reader that waits for another behind a writer.
TEST(HomemadeHotplugLock, AReaderReadsAgainWhileAWriterWaits) NO_THREAD_SAFETY_ANALYSIS {
  homemade_hotplug_lock lock{map_key, inside_key};
  lock.lock_shared();
  auto writer = write_elsewhere(lock);
  EXPECT_TRUE(still_waits(writer));
  lock.lock_shared();
  lock.unlock_shared();
  lock.unlock_shared();
  EXPECT_TRUE(writer.get());
}

TEST(HomemadeHotplugLock, IsTwoClassesOfOneNameToTheValidator) {
  const recorded_reports reports;
  homemade_hotplug_lock lock{map_key, inside_key};
  {
    guard hold{lock};
    const auto held = lockdep::held_locks();
    ASSERT_EQ(held.size(), 2U);
    EXPECT_EQ(name_text(held[0].lock, report_format_4_10), "mem_hotplug.lock");
    EXPECT_EQ(name_text(held[1].lock, report_format_4_10), "mem_hotplug.lock#2");
  }
  read_guard hold{lock};
  const auto held = lockdep::held_locks();
  ASSERT_EQ(held.size(), 1U);  // the mutex was for the count only
  EXPECT_TRUE(held[0].read);
}

// A machine of that time: onlining inside an add reads what the add has to write.
TEST(HomemadeHotplugLock, IsWhatMachinesUntil412Have) {
  for (const char* era : {"v3.19", "v4.1", "v4.11", "v4.12"}) {
    const recorded_reports reports;
    machine_config config = with_dimm(1);
    config.rules = *find_era(era);
    test_machine m{config};
    EXPECT_EQ(m.k().locks.mem_hotplug_lock.name(), "mem_hotplug.lock");
    EXPECT_EQ(m.k().locks.cpu_hotplug_lock.name(), "cpu_hotplug.dep_map");
    guard hold{m.k().locks.mem_hotplug_lock};
    read_guard again{m.k().locks.mem_hotplug_lock};
    m.k().locks.mem_hotplug_lock.assert_held_write();
    EXPECT_EQ(reports.count(), 0U);
  }
  machine_config config = two_nodes();
  config.rules = *find_era("v4.13");
  test_machine m{config};
  EXPECT_EQ(m.k().locks.mem_hotplug_lock.name(), "mem_hotplug_lock");
}

}  // namespace
}  // namespace memhp
