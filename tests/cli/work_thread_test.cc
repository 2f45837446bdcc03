#include "cli/work_thread.h"

#include <gtest/gtest.h>

#include <latch>
#include <vector>

namespace memhp {
namespace {

TEST(WorkThread, RunsWhatItIsGivenInOrder) {
  std::vector<int> ran;
  {
    work_thread work;
    for (int i = 0; i < 100; ++i) work.run([&ran, i] { ran.push_back(i); });
  }
  ASSERT_EQ(ran.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[static_cast<std::size_t>(i)], i);
}

TEST(WorkThread, TheEndComesAfterWhatWasGivenBefore) {
  std::latch told{1};
  bool last_ran = false;
  work_thread work;
  work.run([&] { told.wait(); });
  work.run([&] { last_ran = true; });
  std::jthread ends{[&] { work.finish(); }};
  told.count_down();
  ends.join();
  EXPECT_TRUE(last_ran);
}

TEST(WorkThread, WhatComesAfterTheEndIsDropped) {
  work_thread work;
  work.finish();
  bool ran = false;
  work.run([&] { ran = true; });
  work.finish();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace memhp
