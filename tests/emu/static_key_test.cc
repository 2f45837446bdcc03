#include "emu/static_key.h"

#include <gtest/gtest.h>

#include <future>

#include "locks/guards.h"
#include "tests/locks/eventually.h"

namespace memhp {
namespace {

TEST(StaticKey, IsOffUntilItIsEnabledAndThenStaysOn) {
  hotplug_locks locks{patched};
  static_key key;
  EXPECT_FALSE(key.enabled());
  static_key_enable(locks, key);
  EXPECT_TRUE(key.enabled());
  static_key_enable(locks, key);
  EXPECT_TRUE(key.enabled());
  // Everything was given back.
  EXPECT_TRUE(locks.jump_label_mutex.try_lock());
  locks.jump_label_mutex.unlock();
  guard cpus{locks.cpu_hotplug_lock};
}

// Both times: the lock is taken before the key is looked at.
TEST(StaticKey, WaitsForTheCpuThatGoesDown) {
  hotplug_locks locks{patched};
  static_key key;
  for (const bool on_already : {false, true}) {
    std::future<void> enabled;
    {
      guard cpus{locks.cpu_hotplug_lock};
      enabled = std::async(std::launch::async, [&] { static_key_enable(locks, key); });
      EXPECT_EQ(enabled.wait_for(std::chrono::milliseconds{20}),
                std::future_status::timeout);
      EXPECT_EQ(key.enabled(), on_already);
    }
    enabled.get();
    EXPECT_TRUE(key.enabled());
  }
}

TEST(StaticKey, TakesJumpLabelMutexInsideCpuHotplugLock) {
  hotplug_locks locks{patched};
  static_key key;
  std::future<void> enabled;
  {
    guard hold{locks.jump_label_mutex};
    enabled = std::async(std::launch::async, [&] { static_key_enable(locks, key); });
    // It holds the lock to read by now, so a writer would wait and a reader gets in.
    EXPECT_EQ(enabled.wait_for(std::chrono::milliseconds{20}),
              std::future_status::timeout);
    EXPECT_FALSE(key.enabled());
    read_guard cpus{locks.cpu_hotplug_lock};
  }
  enabled.get();
  EXPECT_TRUE(key.enabled());
}

TEST(StaticKey, IsEnabledByWhoHoldsTheLockAlready) {
  hotplug_locks locks{patched};
  static_key key;
  read_guard cpus{locks.cpu_hotplug_lock};
  static_key_enable_cpuslocked(locks, key);
  EXPECT_TRUE(key.enabled());
}

}  // namespace
}  // namespace memhp
