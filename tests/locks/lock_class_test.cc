#include "locks/lock_class.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "locks/lockdep.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

// Versions are given when a lock is first taken.
lock_class& taken(dep_map& map, unsigned subclass = 0) {
  lockdep::acquire(map, {.subclass = subclass});
  lockdep::release(map);
  return map.class_of(subclass);
}

struct LockClass : testing::Test {
  recorded_reports reports;
};

TEST_F(LockClass, ASecondKeyOfANameIsNumberedAndItsSubclassesWithIt) {
  static constexpr lock_class_key first{"versioned"};
  static constexpr lock_class_key second{"versioned"};
  dep_map a{first}, b{second};
  EXPECT_EQ(taken(a).full_name(), "versioned");
  EXPECT_EQ(taken(b).full_name(), "versioned#2");
  EXPECT_EQ(taken(b, 3).full_name(), "versioned#2/3");
  EXPECT_EQ(taken(a, 1).full_name(), "versioned/1");
}

TEST_F(LockClass, NumbersFollowTheOrderOfFirstUseAndStartAgainAfterAReset) {
  static constexpr lock_class_key first{"reset"};
  static constexpr lock_class_key second{"reset"};
  dep_map a{first}, b{second};
  EXPECT_EQ(taken(a).full_name(), "reset");
  EXPECT_EQ(taken(b).full_name(), "reset#2");
  lockdep::reset();
  EXPECT_TRUE(registered_lock_classes().empty());
  EXPECT_EQ(taken(b).full_name(), "reset");
  EXPECT_EQ(taken(a).full_name(), "reset#2");
  EXPECT_EQ(registered_lock_classes().size(), 2U);
}

TEST_F(LockClass, LocksOfOneKeyShareAClass) {
  static constexpr lock_class_key key{"shared"};
  dep_map a{key}, b{key};
  EXPECT_EQ(&a.class_of(), &b.class_of());
  EXPECT_NE(&a.class_of(), &a.class_of(1));
  EXPECT_EQ(&a.class_of(5), &b.class_of(5));
}

TEST_F(LockClass, ADynamicClassIsAnAddressAndAName) {
  const int attribute = 0, other = 0;
  dep_map a{&attribute, "kn->active"}, b{&attribute, "kn->active"};
  dep_map elsewhere{&other, "kn->active"}, named{&attribute, "of->mutex"};
  EXPECT_EQ(&a.class_of(), &b.class_of());
  EXPECT_NE(&a.class_of(), &elsewhere.class_of());
  EXPECT_NE(&a.class_of(), &named.class_of());
  EXPECT_EQ(taken(a).full_name(), "kn->active");
  EXPECT_EQ(taken(elsewhere).full_name(), "kn->active#2");
}

TEST_F(LockClass, UsageIsHowItWasEverTaken) {
  static constexpr lock_class_key key{"used"};
  dep_map map{key};
  EXPECT_EQ(map.class_of().usage(), lock_usage{});
  lockdep::wait_for(map);
  EXPECT_EQ(map.class_of().usage(), lock_usage{.write = true});
  lockdep::acquire(map, {.read = read_kind::read, .trylock = true});
  lockdep::release(map);
  EXPECT_EQ(map.class_of().usage(),
            (lock_usage{.write = true, .read = true, .reclaim_read = true}));
}

TEST_F(LockClass, TablesGrowUnderThreadsThatSearchThem) {
  constexpr std::size_t classes = 2000;
  static const char identities[classes] = {};
  std::vector<lock_class*> found[4];
  {
    std::vector<std::jthread> threads;
    for (auto& mine : found)
      threads.emplace_back([&mine] {
        for (const char& identity : identities) {
          const dep_map map{&identity, "grown"};
          mine.push_back(&map.class_of());
        }
      });
  }
  for (const auto& mine : found) EXPECT_EQ(mine, found[0]);
  std::vector<lock_class*> distinct = found[0];
  std::ranges::sort(distinct);
  EXPECT_TRUE(std::ranges::adjacent_find(distinct) == distinct.end());
}

}  // namespace
}  // namespace memhp
