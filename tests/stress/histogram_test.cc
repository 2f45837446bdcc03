#include "stress/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "stress/sequence.h"

namespace memhp::stress {
namespace {

TEST(Histogram, IsEmptyAtFirst) {
  const histogram empty;
  EXPECT_EQ(empty.count(), 0U);
  EXPECT_EQ(empty.at_permille(500), 0U);
}

TEST(Histogram, PercentilesAreThoseOfTheSortedValuesWithinABucket) {
  histogram all;
  std::vector<std::uint64_t> values;
  sequence numbers{7, 0};
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = numbers.next() >> numbers.below(64);
    values.push_back(value);
    all.add(value);
  }
  std::ranges::sort(values);
  for (const unsigned permille : {1U, 250U, 500U, 990U, 999U, 1000U}) {
    const std::uint64_t exact = values[(values.size() * permille + 999) / 1000 - 1];
    EXPECT_GE(all.at_permille(permille), exact) << permille;
    EXPECT_LE(all.at_permille(permille) - exact, exact / 32 + 1) << permille;
  }
  EXPECT_EQ(all.at_permille(1000), values.back());
}

TEST(Histogram, MergedIsAsIfAddedToOne) {
  histogram one;
  histogram two;
  histogram both;
  for (std::uint64_t i = 1; i < 1000; ++i) {
    (i % 3 == 0 ? one : two).add(i * i);
    both.add(i * i);
  }
  one.merge(two);
  EXPECT_EQ(one.count(), both.count());
  EXPECT_EQ(one.max(), both.max());
  EXPECT_EQ(one.at_permille(990), both.at_permille(990));
}

TEST(Histogram, TakesTheGreatestValue) {
  histogram all;
  all.add(UINT64_MAX);
  EXPECT_EQ(all.at_permille(500), UINT64_MAX);
}

}  // namespace
}  // namespace memhp::stress
