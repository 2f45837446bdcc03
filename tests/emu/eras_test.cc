// The table of eras: its steps, and how an era is found.
#include "emu/eras.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace memhp {
namespace {

std::string_view name_of(const lock_rules* rules) {
  return rules != nullptr ? rules->era : "none";
}

TEST(Eras, NeighboursDifferInOneField) {
  const auto eras = kernel_eras();
  ASSERT_GE(eras.size(), 20U);
  for (std::size_t i = 1; i < eras.size(); ++i)
    EXPECT_EQ(differences(eras[i - 1].rules, eras[i].rules), 1) << eras[i].rules.era;
}

// `patched` is f1037ec0cc8a's order with the seeds' texts and the slab allocator's fixes:
// nothing that a kernel had comes closer.
TEST(Eras, PatchedIsNearestToTheSeedsAsTheyWereMerged) {
  const auto eras = kernel_eras();
  const auto nearest = std::ranges::min_element(
      eras, {}, [](const kernel_era& era) { return differences(era.rules, patched); });
  EXPECT_EQ(nearest->rules.era, "f1037ec0cc8a");
  // section_count, its assertion, slab's locks, its debug key, its files' removal.
  EXPECT_EQ(differences(nearest->rules, patched), 5);
}

TEST(Eras, AreFoundByNameAndByDigitsOfTheirCommit) {
  EXPECT_EQ(name_of(find_era("patched")), "patched");
  EXPECT_EQ(name_of(find_era("v3.19")), "v3.19");
  EXPECT_EQ(name_of(find_era("381eab4a6ee8")), "381eab4a6ee8");
  EXPECT_EQ(name_of(find_era("381eab4a")), "381eab4a6ee8");
  EXPECT_EQ(name_of(find_era("381eab4")), "381eab4a6ee8");
  EXPECT_EQ(name_of(find_era("381eab")), "none");  // too short to be sure
  EXPECT_EQ(name_of(find_era("381eab4a6ee81")), "none");
  EXPECT_EQ(name_of(find_era("")), "none");
  EXPECT_EQ(name_of(find_era("Patched")), "none");
  for (const kernel_era& era : kernel_eras())
    EXPECT_EQ(name_of(find_era(era.rules.era)), era.rules.era);
}

TEST(Eras, AreFoundByKernel) {
  for (const auto& [kernel, era] : {std::pair{"v3.16", "v3.19"},
                                    {"4.0", "v3.19"},
                                    {"v4.1", "30467e0b3be8"},
                                    {"v4.10", "30467e0b3be8"},
                                    {"v4.11", "55adc1d05dca"},
                                    {"v4.12", "3b7b314053d0"},
                                    {"v4.17", "3f906ba23689"},
                                    {"v4.19", "d50d82faa0c9"},
                                    {"v4.20", "5666848774ef"},
                                    {"5.4.280", "5666848774ef"},
                                    {"v5.8", "f1037ec0cc8a"},
                                    {"v5.12", "59450bbc12be"},
                                    {"v5.13", "afe0c26d1968"},
                                    {"v6.0", "0495e337b703"},
                                    {"v6.1", "2d7f9f8c1815"},
                                    {"6.12", "6b8f0798b85a"}})
    EXPECT_EQ(name_of(find_era(kernel)), era) << kernel;
  for (const auto* none : {"v3.15", "v2.6", "v4", "4.", "v4.20x", "v-4.2", "x4.20"})
    EXPECT_EQ(find_era(none), nullptr) << none;
}

TEST(Eras, OfTheSeedsAreFoundByTheirNumber) {
  for (const auto& [seed, before, after] : {std::tuple{0, "5666848774ef", "f1037ec0cc8a"},
                                            {1, "v3.19", "30467e0b3be8"},
                                            {2, "d50d82faa0c9", "381eab4a6ee8"},
                                            {3, "1f0723a4c0df", "afe0c26d1968"},
                                            {4, "bf5eb3de3847", "3b7b314053d0"}}) {
    EXPECT_EQ(seed_era(seed, seed_side::before).rules.era, before);
    EXPECT_EQ(seed_era(seed, seed_side::after).rules.era, after);
    const std::string name = "seed-00" + std::to_string(seed);
    EXPECT_EQ(name_of(find_era(name + "-before")), before);
    EXPECT_EQ(name_of(find_era(name + "-after")), after);
    EXPECT_EQ(find_era(name), nullptr);
  }
  EXPECT_EQ(name_of(find_era("today")), kernel_eras().back().rules.era);
}

TEST(Eras, KnowTheirWords) {
  EXPECT_EQ(era_of(*find_era("v4.1")).kernfs_name, "s_active");
  EXPECT_EQ(era_of(*find_era("v5.5")).kernfs_name, "kn->count");
  EXPECT_EQ(era_of(*find_era("v6.1")).kernfs_name, "kn->active");
  EXPECT_TRUE(era_of(*find_era("v5.5")).words.rw_sem_names);
  EXPECT_FALSE(era_of(*find_era("v5.5")).words.wait_types);
  lock_rules mine = patched;
  mine.era = "mine";
  EXPECT_EQ(era_of(mine).rules.era, "patched");
}

}  // namespace
}  // namespace memhp
