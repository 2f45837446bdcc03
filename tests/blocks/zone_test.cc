#include "blocks/zone.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>
#include <vector>

namespace memhp {
namespace {

constexpr std::uint64_t block_pages = 32'768;

phys_range block(std::uint64_t id, std::uint64_t blocks = 1) {
  return {.start = {id * block_pages * page_size},
          .size = blocks * block_pages * page_size};
}

TEST(Zone, CountsWhatIsThereAndWhatMayBeAllocated) {
  zone z{zone_type::normal, 0};
  z.add(block(4), {.holes = 100, .unmanaged = 512, .early = true});
  z.add(block(6), {});
  const zone::counters now = z.pages();
  EXPECT_EQ(now.spanned, 3 * block_pages);
  EXPECT_EQ(now.present, 2 * block_pages - 100);
  EXPECT_EQ(now.managed, 2 * block_pages - 612);
  EXPECT_EQ(now.early, block_pages - 100);
  z.remove(block(4));
  EXPECT_EQ(z.pages().present, block_pages);
  EXPECT_EQ(z.pages().managed, block_pages);
  EXPECT_EQ(z.pages().early, 0U);
}

// Alone, who does not hold the lock counts like who does.
TEST(Zone, CountsTheSameForACallerThatMayRace) {
  zone z{zone_type::normal, 0};
  z.add(block(4), {.holes = 100, .unmanaged = 512, .early = true},
        zone::caller::may_race);
  z.add(block(6), {});
  EXPECT_EQ(z.pages().present, 2 * block_pages - 100);
  EXPECT_EQ(z.pages().managed, 2 * block_pages - 612);
  EXPECT_EQ(z.pages().spanned, 3 * block_pages);
  z.remove(block(4), zone::caller::may_race);
  z.remove(block(6), zone::caller::may_race);
  EXPECT_EQ(z.pages().present, 0U);
  EXPECT_EQ(z.pages().managed, 0U);
  EXPECT_EQ(z.pages().early, 0U);
  EXPECT_EQ(z.pages().spanned, 0U);
}

TEST(Zone, IntersectsItsSpanHolesIncluded) {
  zone z{zone_type::normal, 0};
  EXPECT_FALSE(z.intersects(block(0)));
  z.add(block(4), {});
  z.add(block(6), {});
  EXPECT_FALSE(z.intersects(block(3)));
  EXPECT_TRUE(z.intersects(block(5)));
  EXPECT_TRUE(z.intersects(block(3, 2)));
  EXPECT_TRUE(z.intersects(block(0, 99)));
  EXPECT_FALSE(z.intersects(block(7)));
}

// Against a plain set of blocks.
TEST(Zone, SpansGrowAndShrinkAsInANaiveList) {
  std::mt19937 random{1};
  zone z{zone_type::movable, 0};
  std::set<std::uint64_t> naive;
  for (int step = 0; step < 5'000; ++step) {
    const std::uint64_t id = random() % 40;
    if (naive.contains(id)) {
      naive.erase(id);
      z.remove(block(id));
    } else {
      naive.insert(id);
      z.add(block(id), {});
    }
    ASSERT_EQ(z.pages().present, naive.size() * block_pages);
    if (naive.empty()) {
      ASSERT_EQ(z.extent().pages(), 0U);
      ASSERT_FALSE(z.intersects(block(id)));
      continue;
    }
    ASSERT_EQ(z.extent().start, block(*naive.begin()).start_pfn());
    ASSERT_EQ(z.extent().end, block(*naive.rbegin()).end_pfn());
    const std::uint64_t other = random() % 40;
    ASSERT_EQ(z.intersects(block(other)),
              *naive.begin() <= other && other <= *naive.rbegin());
  }
}

// One block is always there, another comes and goes: no reader sees a mixture.
TEST(Zone, ReadersSeeWholeChangesOnly) {
  zone z{zone_type::normal, 0};
  z.add(block(0), {});
  std::jthread writer{[&] {
    for (int round = 0; round < 20'000; ++round) {
      z.add(block(1), {});
      z.remove(block(1));
    }
  }};
  for (int round = 0; round < 20'000; ++round) {
    const zone::counters now = z.pages();
    ASSERT_EQ(now.spanned, now.present);
  }
}

TEST(ZoneDeathTest, RemovingWhatWasNotAddedWholeAborts) {
  zone z{zone_type::normal, 0};
  z.add(block(4, 2), {});
  EXPECT_DEATH(z.remove(block(4)), "range is not in the zone: Normal");
  EXPECT_DEATH(z.remove(block(5)), "range is not in the zone: Normal");
}

}  // namespace
}  // namespace memhp
