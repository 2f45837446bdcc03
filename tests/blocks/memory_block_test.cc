#include "blocks/memory_block.h"

#include <gtest/gtest.h>

#include <latch>
#include <thread>
#include <vector>

namespace memhp {
namespace {

using enum block_state;
constexpr std::array states = {absent, offline, online, going_offline};

phys_range first_block() {
  return {.start = {0}, .size = 128 * MiB};
}

// Brings a fresh block into a state by a legal way.
void bring(memory_block& block, block_state to) {
  if (to == absent) return;
  ASSERT_TRUE(block.change_state(offline, absent));
  if (to == offline) return;
  ASSERT_TRUE(block.change_state(online, offline));
  if (to == going_offline) {
    ASSERT_TRUE(block.change_state(going_offline, online));
  }
}

TEST(BlockStates, OnlyThePairsOfTheTableAreTransitions) {
  std::size_t allowed = 0;
  for (const block_state from : states)
    for (const block_state to : states) allowed += is_transition(from, to) ? 1 : 0;
  EXPECT_EQ(allowed, block_transitions.size());
  EXPECT_FALSE(is_transition(online, offline));  // by way of going_offline alone
  EXPECT_FALSE(is_transition(online, absent));
}

TEST(BlockStates, EveryTransitionWorksFromItsStateAndIsEinvalFromAnother) {
  for (const block_transition& t : block_transitions)
    for (const block_state start : states) {
      memory_block block{{0}, first_block(), 0};
      bring(block, start);
      const auto done = block.change_state(t.to, t.from);
      EXPECT_EQ(done.has_value(), start == t.from);
      EXPECT_EQ(done ? errc{} : done.error(), done ? errc{} : errc::invalid_argument);
      EXPECT_EQ(block.state(), done ? t.to : start);
      EXPECT_EQ(block.present(), block.state() != absent);
    }
}

TEST(BlockStates, OfSeveralThreadsOneWins) {
  constexpr int threads = 4;
  memory_block block{{0}, first_block(), 0};
  bring(block, offline);
  std::atomic<int> winners = 0;
  std::latch all_there{threads};
  std::vector<std::jthread> racers;
  for (int i = 0; i < threads; ++i)
    racers.emplace_back([&] {
      all_there.arrive_and_wait();
      if (block.change_state(online, offline)) ++winners;
    });
  racers.clear();
  EXPECT_EQ(winners, 1);
}

TEST(BlockStatesDeathTest, APairOutsideTheTableAborts) {
  memory_block block{{0}, first_block(), 0};
  bring(block, online);
  EXPECT_DEATH((void)block.change_state(offline, online),
               "impossible block state: offline");
}

TEST(OnlineType, KnowsItsFourWordsExactly) {
  for (const auto word : {"offline", "online", "online_kernel", "online_movable"}) {
    const auto type = online_type_from(word);
    ASSERT_TRUE(type) << word;
    EXPECT_EQ(to_string(*type), word);
  }
  for (const auto word : {"", "on", "Online", "online\n", "going-offline"})
    EXPECT_FALSE(online_type_from(word)) << word;
}

}  // namespace
}  // namespace memhp
