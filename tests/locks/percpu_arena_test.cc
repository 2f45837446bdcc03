#include "locks/percpu_arena.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <vector>

#include "locks/guards.h"
#include "locks/percpu_counter.h"
#include "locks/percpu_rwsem.h"

namespace memhp {
namespace {

TEST(PercpuArena, PlacesOfLocksLieSideBySideAndAreUsedAgain) {
  percpu_rw_semaphore owner;
  std::byte* const first = percpu_arena_take(owner);
  std::byte* const second = percpu_arena_take(owner);
  EXPECT_EQ(second - first, static_cast<std::ptrdiff_t>(sizeof(percpu_counts)));
  percpu_arena_give_back(first);
  EXPECT_EQ(percpu_arena_take(owner), first);
  percpu_arena_give_back(first);
  percpu_arena_give_back(second);
}

TEST(PercpuArena, GrowsBeyondOneSegment) {
  constexpr std::size_t many = (1U << percpu_row_shift) / sizeof(percpu_counts) + 100;
  percpu_rw_semaphore owner;
  std::vector<std::byte*> places;
  std::set<std::byte*> distinct;
  for (std::size_t i = 0; i < many; ++i) {
    places.push_back(percpu_arena_take(owner));
    distinct.insert(places.back());
  }
  EXPECT_EQ(distinct.size(), many);
  for (std::byte* place : places) percpu_arena_give_back(place);
}

TEST(PercpuArena, ALockThatTakesAUsedPlaceIsFree) {
  for (int i = 0; i < 100; ++i) {
    const auto lock = std::make_unique<percpu_rw_semaphore>();
    {
      read_guard hold{*lock};
      EXPECT_TRUE(lock->is_read_locked());
    }
    EXPECT_FALSE(lock->is_read_locked());
    guard hold{*lock};
  }
}

// Where it is known, and this fails, glibc has moved it: then every read is a call.
TEST(PercpuCounter, KnowsWhereThisLibcKeepsStructRseq) {
#if MEMHP_RSEQ
  if (known_rseq_offset == 0) GTEST_SKIP() << "not known for this libc: it is loaded";
  EXPECT_EQ(known_rseq_offset, __rseq_offset);
#else
  GTEST_SKIP() << "no restartable sequences here";
#endif
}

TEST(PercpuCounter, HasARowForEveryCpuOrThread) {
  percpu_rw_semaphore lock;
  {
    read_guard hold{lock};
  }
  EXPECT_GE(percpu_rows(), 1U);
  EXPECT_EQ(percpu_segment_bytes() % (1U << percpu_row_shift), 0U);
  EXPECT_GE(percpu_segment_bytes() >> percpu_row_shift, percpu_rows());
}

}  // namespace
}  // namespace memhp
