#include "locks/guards.h"

#include <gtest/gtest.h>

#include <string>

namespace memhp {
namespace {

// Writes down what is asked of it.
class CAPABILITY("mutex") recording_lock {
 public:
  void lock() ACQUIRE() { calls += "lock "; }
  void unlock() RELEASE() { calls += "unlock "; }
  void lock_shared() ACQUIRE_SHARED() { calls += "lock_shared "; }
  void unlock_shared() RELEASE_SHARED() { calls += "unlock_shared "; }
  std::string calls;
};

TEST(Guards, HoldFromTheirLineToTheEndOfTheScope) {
  recording_lock first;
  {
    guard hold{first};
    EXPECT_EQ(first.calls, "lock ");
  }
  EXPECT_EQ(first.calls, "lock unlock ");

  recording_lock second;
  {
    read_guard hold{second};
    EXPECT_EQ(second.calls, "lock_shared ");
  }
  EXPECT_EQ(second.calls, "lock_shared unlock_shared ");
}

TEST(Guards, LetGoWhenAnExceptionPasses) {
  recording_lock lock;
  try {
    guard hold{lock};
    throw 1;
  } catch (int) {
  }
  EXPECT_EQ(lock.calls, "lock unlock ");
}

}  // namespace
}  // namespace memhp
