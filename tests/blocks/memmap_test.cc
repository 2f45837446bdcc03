#include "blocks/memmap.h"

#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "tests/blocks/memory_fixture.h"

namespace memhp {
namespace {

constexpr std::uint64_t block_size = 128 * MiB;

phys_range block(std::uint64_t index, std::uint64_t blocks = 1) {
  return {.start = {index * block_size}, .size = blocks * block_size};
}

pfn page_in(std::uint64_t index, std::uint64_t page) {
  return block(index).start_pfn() + page;
}

class Memmap : public testing::Test {
 protected:
  memmap pages_{1 * TiB, block_size};
};

TEST_F(Memmap, CountsTwoMegabytesForABlockBeforeAnythingIsTouched) {
  EXPECT_EQ(pages_.bytes(), 0U);
  ASSERT_TRUE(pages_.add(block(0)));
  EXPECT_EQ(pages_.bytes(), 2 * MiB);
  ASSERT_TRUE(pages_.add(block(8000, 3)));
  EXPECT_EQ(pages_.bytes(), 8 * MiB);
  EXPECT_EQ(pages_.mapped_bytes(), 0U);
  pages_.remove(block(8000, 3));
  EXPECT_EQ(pages_.bytes(), 2 * MiB);
}

TEST_F(Memmap, BelongsToWholeBlocksBelowTheTop) {
  const auto error = [&](phys_range range) {
    const auto added = pages_.add(range);
    return added ? errc{} : added.error();
  };
  EXPECT_EQ(error({.start = {4096}, .size = block_size}), errc::invalid_argument);
  EXPECT_EQ(error({.start = {0}, .size = 4096}), errc::invalid_argument);
  EXPECT_EQ(error({.start = {0}, .size = 0}), errc::invalid_argument);
  EXPECT_EQ(error({.start = {1 * TiB}, .size = block_size}), errc::invalid_argument);
  EXPECT_EQ(error({.start = {~0ULL - block_size + 1}, .size = block_size}),
            errc::invalid_argument);
  EXPECT_EQ(pages_.bytes(), 0U);
}

TEST_F(Memmap, IsAddedOnce) {
  ASSERT_TRUE(pages_.add(block(5)));
  const auto again = pages_.add(block(4, 3));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), errc::file_exists);
  EXPECT_FALSE(pages_.has_memmap(page_in(4, 0)));
  EXPECT_EQ(pages_.bytes(), 2 * MiB);
}

TEST_F(Memmap, CountsMarkedPagesOfABlock) {
  ASSERT_TRUE(pages_.add(block(0, 2)));
  ASSERT_TRUE(pages_.set(page_in(0, 0), page_flag::reserved));
  ASSERT_TRUE(pages_.set(page_in(0, 32767), page_flag::reserved));
  ASSERT_TRUE(pages_.set(page_in(0, 32767), page_flag::reserved));
  ASSERT_TRUE(pages_.set(page_in(1, 0), page_flag::pinned));
  EXPECT_EQ(pages_.count(block(0), page_flag::reserved), 2U);
  EXPECT_EQ(pages_.count(block(0), page_flag::pinned), 0U);
  EXPECT_EQ(pages_.count(block(0, 2), page_flag::pinned), 1U);
  EXPECT_TRUE(pages_.has_unmovable(block(0)));
  EXPECT_FALSE(pages_.has_unmovable(block(1)));
  ASSERT_TRUE(pages_.clear(page_in(0, 0), page_flag::reserved));
  ASSERT_TRUE(pages_.clear(page_in(0, 0), page_flag::reserved));
  EXPECT_EQ(pages_.count(block(0), page_flag::reserved), 1U);
  EXPECT_FALSE(pages_.test(page_in(0, 0), page_flag::reserved));
  EXPECT_TRUE(pages_.test(page_in(0, 32767), page_flag::reserved));
}

TEST_F(Memmap, FlagsOfAPageAreIndependent) {
  ASSERT_TRUE(pages_.add(block(0)));
  ASSERT_TRUE(pages_.set(page_in(0, 7), page_flag::reserved));
  ASSERT_TRUE(pages_.set(page_in(0, 7), page_flag::pinned));
  ASSERT_TRUE(pages_.clear(page_in(0, 7), page_flag::reserved));
  EXPECT_TRUE(pages_.test(page_in(0, 7), page_flag::pinned));
}

TEST_F(Memmap, OfMemoryThatIsNotThereIsAnError) {
  for (const auto& refused : {pages_.set(page_in(3, 0), page_flag::reserved),
                              pages_.clear(page_in(3, 0), page_flag::reserved)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), errc::no_such_device_or_address);
  }
  EXPECT_FALSE(pages_.test(page_in(3, 0), page_flag::reserved));
  EXPECT_FALSE(pages_.has_memmap({~0ULL}));
  EXPECT_EQ(pages_.count(block(3, 100), page_flag::reserved), 0U);
}

TEST_F(Memmap, IsFreedWhenTheBlockIsRemovedAndFreshWhenItComesBack) {
  ASSERT_TRUE(pages_.add(block(0, 2)));
  ASSERT_TRUE(pages_.set(page_in(0, 9), page_flag::reserved));
  ASSERT_TRUE(pages_.set(page_in(1, 9), page_flag::reserved));
  EXPECT_EQ(pages_.mapped_bytes(), 4 * MiB);
  pages_.remove(block(0));
  EXPECT_EQ(pages_.bytes(), 2 * MiB);
  EXPECT_EQ(pages_.mapped_bytes(), 2 * MiB);
  EXPECT_FALSE(pages_.has_memmap(page_in(0, 9)));
  EXPECT_FALSE(pages_.has_unmovable(block(0)));
  EXPECT_TRUE(pages_.has_unmovable(block(1)));
  ASSERT_TRUE(pages_.add(block(0)));
  EXPECT_FALSE(pages_.test(page_in(0, 9), page_flag::reserved));
  ASSERT_TRUE(pages_.set(page_in(0, 8), page_flag::pinned));
  EXPECT_FALSE(pages_.test(page_in(0, 9), page_flag::reserved));
}

TEST_F(Memmap, SurvivesManyThreadsThatMarkTheSameBlock) {
  ASSERT_TRUE(pages_.add(block(0)));
  constexpr unsigned threads = 4;
  constexpr unsigned own_pages = 64;
  std::latch start{threads};
  {
    std::vector<std::jthread> all;
    for (unsigned t = 0; t < threads; ++t) {
      all.emplace_back([&, t] {
        start.arrive_and_wait();
        for (unsigned i = 0; i < own_pages; ++i) {
          // One page of its own, which stays marked, and one that all fight over.
          EXPECT_TRUE(pages_.set(page_in(0, t * own_pages + i), page_flag::reserved));
          EXPECT_TRUE(pages_.set(page_in(0, 30000), page_flag::pinned));
          EXPECT_TRUE(pages_.clear(page_in(0, 30000), page_flag::pinned));
        }
      });
    }
  }
  EXPECT_EQ(pages_.count(block(0), page_flag::reserved), threads * own_pages);
  EXPECT_EQ(pages_.count(block(0), page_flag::pinned), 0U);
}

// Thousands of machines a second are built: no mapping until a page is marked.
TEST(MemmapCost, NothingIsMappedForAMachineThatIsOnlyBuilt) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's allocator maps memory of its own";
#endif
  const auto mappings = [] {
    const std::string maps = read_all("/proc/self/maps");
    return std::count(maps.begin(), maps.end(), '\n');
  };
  const auto maps_before = mappings();
  memmap pages{1 * TiB, block_size};
  ASSERT_TRUE(pages.add(block(0, 16)));
  EXPECT_EQ(mappings(), maps_before);
  ASSERT_TRUE(pages.set(page_in(0, 0), page_flag::reserved));
  EXPECT_GT(mappings(), maps_before);
}

TEST_F(Memmap, SlabPagesAreAsUnmovableAsReservedOnes) {
  ASSERT_TRUE(pages_.add(block(0, 2)));
  ASSERT_TRUE(pages_.set(page_in(1, 7), page_flag::slab));
  EXPECT_FALSE(pages_.has_unmovable(block(0)));
  EXPECT_TRUE(pages_.has_unmovable(block(1)));
  ASSERT_TRUE(pages_.clear(page_in(1, 7), page_flag::slab));
  EXPECT_FALSE(pages_.has_unmovable(block(1)));
}

}  // namespace
}  // namespace memhp
