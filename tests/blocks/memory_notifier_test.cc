#include "blocks/memory_notifier.h"

#include <gtest/gtest.h>

#include <string>

namespace memhp {
namespace {

class NotifierChain : public testing::Test {
 protected:
  memory_notifier named(const char* name, int priority, errc veto = {}) {
    return {.name = name,
            .priority = priority,
            .call = [this, name, veto](memory_event, const memory_notify&) {
              called_ += name;
              return veto == errc{} ? result<>{} : result<>{fail(veto)};
            }};
  }
  result<> call() { return chain_.call(memory_event::going_online, {}); }

  memory_notifier_chain chain_;
  std::string called_;
};

TEST_F(NotifierChain, IsCalledByPriorityAndThenInOrderOfRegistration) {
  const auto a = named("a", 0);
  const auto b = named("b", 10);
  const auto c = named("c", 0);
  const auto d = named("d", -1);
  const auto e = named("e", 10);
  for (const auto* notifier : {&a, &b, &c, &d, &e}) chain_.add(*notifier);
  EXPECT_TRUE(call());
  EXPECT_EQ(called_, "beacd");
  called_.clear();
  chain_.remove(a);
  EXPECT_TRUE(call());
  EXPECT_EQ(called_, "becd");
}

TEST_F(NotifierChain, StopsAtTheFirstErrorAndReturnsIt) {
  const auto a = named("a", 2);
  const auto b = named("b", 1, errc::no_space_on_device);
  const auto c = named("c", 0, errc::io_error);
  for (const auto* notifier : {&a, &b, &c}) chain_.add(*notifier);
  const auto answer = call();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error(), errc::no_space_on_device);
  EXPECT_EQ(called_, "ab");
}

TEST_F(NotifierChain, WithoutAnybodyIsContent) {
  EXPECT_TRUE(call());
}

}  // namespace
}  // namespace memhp
