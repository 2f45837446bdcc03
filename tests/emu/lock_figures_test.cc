#include "emu/lock_figures.h"

#include <gmock/gmock.h>

#include <memory>

#include "locks/lockdep.h"

namespace memhp {
namespace {

lock_figures figures_of(std::string name, std::uint64_t contentions) {
  lock_figures figures{.name = std::move(name)};
  figures.stats.write.wait = {
      .nr = contentions, .total_ns = 70, .min_ns = 3, .max_ns = 9};
  figures.stats.write.wait.histogram[2] = contentions;
  figures.stats.write.contended_bounces = 1;
  figures.stats.read.hold = {.nr = 2, .total_ns = 10, .min_ns = 5, .max_ns = 5};
  figures.contention_points = {{.where = "online_pages+0x1/0x2", .count = contentions}};
  return figures;
}

TEST(LockFigures, AreReadAsTheyWerePublished) {
  const auto shared = std::make_unique<shared_lock_figures>();
  EXPECT_TRUE(shared->read().empty());
  shared->publish({figures_of("a", 7), figures_of("b", 6)}, true);
  EXPECT_TRUE(shared->counting());
  const std::vector<lock_figures> read = shared->read();
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].name, "a");
  EXPECT_EQ(read[0].stats, figures_of("a", 7).stats);
  ASSERT_EQ(read[0].contention_points.size(), 1U);
  EXPECT_EQ(read[0].contention_points[0].where, "online_pages+0x1/0x2");
  EXPECT_EQ(read[0].contention_points[0].count, 7U);
  EXPECT_TRUE(read[0].contending_points.empty());
  EXPECT_EQ(read[1].name, "b");
}

TEST(LockFigures, APublicationReplacesTheLast) {
  const auto shared = std::make_unique<shared_lock_figures>();
  shared->publish({figures_of("a rather long name", 7), figures_of("b", 6)}, true);
  shared->publish({figures_of("c", 1)}, false);
  EXPECT_FALSE(shared->counting());
  const std::vector<lock_figures> read = shared->read();
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].name, "c");
}

TEST(LockFigures, LongNamesAreCut) {
  const auto shared = std::make_unique<shared_lock_figures>();
  shared->publish({figures_of(std::string(100, 'x'), 7)}, true);
  EXPECT_EQ(shared->read().front().name, std::string(63, 'x'));
}

TEST(LockFigures, OnlyTheFirstFit) {
  const auto shared = std::make_unique<shared_lock_figures>();
  shared->publish(std::vector(shared_lock_figures::max_classes + 5, figures_of("a", 1)),
                  true);
  EXPECT_EQ(shared->read().size(), shared_lock_figures::max_classes);
}

TEST(LockFigures, ComeFromLockStat) {
  static constexpr lock_class_key key{"figures_test_lock"};
  dep_map map{key};
  lock_stat::reset();
  lockdep::set_on(true);
  lockdep::set_lock_stat(true);
  lockdep::acquire(map, {.read = read_kind::read});
  lockdep::contended(map);
  lockdep::acquired(map);
  lockdep::release(map);
  lockdep::set_lock_stat(false);
  lockdep::set_on(false);
  const std::vector<lock_figures> figures = current_lock_figures();
  ASSERT_EQ(figures.size(), 1U);
  EXPECT_EQ(figures[0].name, "figures_test_lock");
  EXPECT_EQ(figures[0].stats.contentions(), 1U);
  EXPECT_EQ(figures[0].stats.read.hold.nr, 1U);
  EXPECT_EQ(figures[0].contention_points.size(), 1U);
  lock_stat::reset();
  EXPECT_TRUE(current_lock_figures().empty());
  lockdep::reset();
}

}  // namespace
}  // namespace memhp
