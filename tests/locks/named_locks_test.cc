#include "locks/named_locks.h"

#include <gtest/gtest.h>

#include <thread>

#include "locks/guards.h"

namespace memhp {
namespace {

void unlock_unheld(named_mutex& m) NO_THREAD_SAFETY_ANALYSIS {
  m.unlock();
}

TEST(NamedMutex, KnowsItsHolder) {
  named_mutex m{"m"};
  EXPECT_FALSE(m.held_by_me());
  {
    guard hold{m};
    EXPECT_TRUE(m.held_by_me());
    m.assert_held();
    std::thread{[&] { EXPECT_FALSE(m.held_by_me()); }}.join();
  }
  EXPECT_FALSE(m.held_by_me());
}

TEST(NamedMutex, TryLockFailsWhileAnotherThreadHoldsIt) {
  named_mutex m{"m"};
  const auto try_elsewhere = [&] {
    bool got = false;
    std::thread{[&] {
      if (!m.try_lock()) return;
      got = m.held_by_me();
      m.unlock();
    }}.join();
    return got;
  };
  {
    guard hold{m};
    EXPECT_FALSE(try_elsewhere());
  }
  EXPECT_TRUE(try_elsewhere());
}

TEST(NamedMutexDeathTest, UnlockByAThreadThatDoesNotHoldItAborts) {
  named_mutex m{"some_lock"};
  EXPECT_DEATH(unlock_unheld(m), "unlock of a lock that is not held: some_lock");
  guard hold{m};
  EXPECT_DEATH(std::thread{[&] { unlock_unheld(m); }}.join(), "some_lock");
}

TEST(NamedMutexDeathTest, AssertHeldAbortsWithTheName) {
  named_mutex m{"some_lock"};
  EXPECT_DEATH(m.assert_held(), "lock must be held here: some_lock");
}

}  // namespace
}  // namespace memhp
