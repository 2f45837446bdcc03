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
  EXPECT_TRUE(may_answer(operation::online, ENOMEM, {.no_memory = true}));
  EXPECT_FALSE(may_answer(operation::offline, ENOMEM, {.no_memory = true}));
  EXPECT_FALSE(may_answer(operation::read, ENOMEM, {.no_memory = true}));
  EXPECT_TRUE(may_answer(operation::offline, EPERM, {.vetoes = errno_bit(EPERM)}));
  EXPECT_FALSE(may_answer(operation::offline, EAGAIN, {.vetoes = errno_bit(EPERM)}));
  EXPECT_FALSE(may_answer(operation::probe, EPERM, {.vetoes = errno_bit(EPERM)}));
}

TEST(Operation, WhatARunDoesSaysWhatItExcuses) {
  const auto only = [](operation done) {
    return circumstances_of([done](operation op) { return op == done; });
  };
  EXPECT_FALSE(only(operation::online).signals);
  EXPECT_TRUE(only(operation::interrupt).signals);
  EXPECT_TRUE(only(operation::unbind).rebinds);
  EXPECT_TRUE(may_answer(operation::online, ENOMEM, only(operation::veto)));
  EXPECT_FALSE(may_answer(operation::online, EAGAIN, only(operation::veto)));
}

}  // namespace
}  // namespace memhp::stress
