#include "stress/operation.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace memhp::stress {
namespace {

TEST(Operation, NamesGoBothWays) {
  for (std::size_t i = 0; i < operation_count; ++i) {
    const auto op = static_cast<operation>(i);
    ASSERT_FALSE(to_string(op).empty()) << i;
    EXPECT_EQ(operation_from(to_string(op)), op);
  }
  EXPECT_EQ(operation_from("fly"), std::nullopt);
}

TEST(Operation, AnswersOfThe61KernelAreAllowedAndOthersAreNot) {
  const circumstances quiet;
  EXPECT_TRUE(may_answer(operation::online, 0, quiet));
  EXPECT_TRUE(may_answer(operation::online, EINVAL, quiet));      // it is online already
  EXPECT_FALSE(may_answer(operation::switch_on, EINVAL, quiet));  // success there
  EXPECT_TRUE(may_answer(operation::probe, EEXIST, quiet));
  EXPECT_FALSE(may_answer(operation::probe, EINVAL, quiet));
  EXPECT_FALSE(may_answer(operation::garbage, 0, quiet));
  for (std::size_t i = 0; i < operation_count; ++i) {
    EXPECT_FALSE(may_answer(static_cast<operation>(i), ENOTCONN, quiet)) << i;
    EXPECT_FALSE(may_answer(static_cast<operation>(i), EINTR, quiet)) << i;
  }
}

TEST(Operation, SignalsAndFaultsExcuseTheirErrors) {
  EXPECT_TRUE(may_answer(operation::offline, EINTR, {.signals = true}));
  EXPECT_FALSE(may_answer(operation::online, ENOMEM, {.signals = true}));
  EXPECT_TRUE(may_answer(operation::online, ENOMEM, {.faults = true}));
  EXPECT_FALSE(may_answer(operation::read, ENOMEM, {.faults = true}));
}

}  // namespace
}  // namespace memhp::stress
