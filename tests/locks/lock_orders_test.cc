#include "locks/lock_orders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

using testing::ElementsAre;
using testing::StartsWith;
using enum read_kind;

constexpr lock_class_key key_a{"A"};
constexpr lock_class_key key_b{"B"};
constexpr lock_class_key key_c{"C"};

struct LockOrders : testing::Test {
  recorded_reports reports;
  dep_map a{key_a}, b{key_b}, c{key_c};
};

void take(dep_map& outer, read_kind held_as, dep_map& inner, read_kind wanted_as) {
  lockdep::acquire(outer, {.read = held_as});
  lockdep::acquire(inner, {.read = wanted_as});
  lockdep::release(inner);
  lockdep::release(outer);
}

// "A>B" for each, with a mark for those on cycles.
std::vector<std::string> words(const lock_orders& all) {
  std::vector<std::string> made;
  for (const lock_order& order : all.orders)
    made.push_back(all.classes[order.held].name + ">" + all.classes[order.wanted].name +
                   (order.on_cycle ? "!" : ""));
  return made;
}

TEST_F(LockOrders, AreThoseThatWereSeen) {
  EXPECT_TRUE(lockdep::orders().orders.empty());
  take(b, write, a, write);
  take(b, write, a, write);
  take(a, write, c, write);
  const lock_orders seen = lockdep::orders();
  EXPECT_THAT(words(seen), ElementsAre("B>A", "A>C"));
  ASSERT_EQ(seen.classes.size(), 3U);
  EXPECT_EQ(seen.classes[0].name, "B");
  EXPECT_TRUE(seen.classes[0].usage.write);
}

TEST_F(LockOrders, OfACycleAreMarked) {
  take(a, write, b, write);
  take(b, write, c, write);
  EXPECT_THAT(words(lockdep::orders()), ElementsAre("A>B", "B>C"));
  take(b, write, a, write);
  EXPECT_EQ(reports.count(), 1U);
  EXPECT_THAT(words(lockdep::orders()), ElementsAre("A>B!", "B>C", "B>A!"));
}

TEST_F(LockOrders, KnowAllWaysInWhichTheyWereTaken) {
  const auto modes = [] { return lockdep::orders().orders.at(0).modes; };
  take(a, write, b, write);
  EXPECT_EQ(modes(), 1);
  take(a, write, b, read);  // the same to the search for cycles
  EXPECT_EQ(modes(), 1 | 2);
  take(a, read, b, write);
  EXPECT_EQ(modes(), 1 | 2 | 4);
  take(a, recursive_read, b, recursive_read);
  EXPECT_EQ(modes(), 1 | 2 | 4 | 8);
  EXPECT_EQ(lockdep::orders().orders.size(), 1U);
}

[[gnu::noinline]] void first_function(dep_map& outer, dep_map& inner) {
  take(outer, write, inner, write);
  asm volatile("");  // not a tail call
}

TEST_F(LockOrders, SayWhereTheyWereSeenFirst) {
  first_function(a, b);
  take(a, read, b, read);
  const lock_order order = lockdep::orders().orders.at(0);
  EXPECT_THAT(symbolize(order.held_at), StartsWith("take+"));
  ASSERT_GE(order.wanted_at.frames().size(), 2U);
  EXPECT_THAT(symbolize(order.wanted_at.frames()[0]), StartsWith("take+"));
  EXPECT_THAT(symbolize(order.wanted_at.frames()[1]), StartsWith("first_function+"));
}

TEST_F(LockOrders, StayWhatTheyWereAfterAReset) {
  take(a, write, b, write);
  const lock_orders seen = lockdep::orders();
  lockdep::reset();
  EXPECT_TRUE(lockdep::orders().orders.empty());
  EXPECT_THAT(words(seen), ElementsAre("A>B"));
}

}  // namespace
}  // namespace memhp
