// Stages on threads, with locks made up here.
#include "emu/scenarios/staged_threads.h"

#include <gtest/gtest.h>

#include "locks/blocked_tasks.h"
#include "locks/guards.h"
#include "locks/tracked.h"

namespace memhp {
namespace {

constexpr std::chrono::milliseconds poll{1};

class StagedThreads : public testing::Test {
 protected:
  StagedThreads() { blocked_tasks::set_watched(true, std::chrono::nanoseconds{0}); }
  ~StagedThreads() override {
    lockdep::set_listener(nullptr);
    blocked_tasks::set_watched(false);
  }

  void say(const std::string& what) {
    guard hold{order_lock_};
    order_ += what;
  }
  std::string order() {
    guard hold{order_lock_};
    return order_;
  }
  static void run_to_the_end(staged_threads& tasks) {
    for (; !tasks.all_ended(); tasks.wait_for_news(poll)) tasks.advance();
  }

  tracked_mutex first{first_key};
  tracked_mutex second{second_key};
  static constexpr lock_class_key first_key{.name = "first"};
  static constexpr lock_class_key second_key{.name = "second.lock"};

 private:
  mutex order_lock_;  // raw: nobody listens
  std::string order_;
};

TEST_F(StagedThreads, ATaskGoesOnUntilItWantsTheLockOfItsStage) {
  const std::vector<stage> stages{{"a", {"second_lock"}}, {"b"}};
  staged_threads tasks{stages};
  lockdep::set_listener(&tasks);
  tasks.add("b", [this] { say("b"); });
  tasks.add("a", [this] {
    guard hold{first};
    say("a");
    guard then{second};
    say("A");
  });
  run_to_the_end(tasks);
  EXPECT_EQ(order(), "abA");
}

TEST_F(StagedThreads, LocksCanBeSkipped) {
  const std::vector<stage> stages{{"a", {"first"}, 2}, {"b"}};
  staged_threads tasks{stages};
  lockdep::set_listener(&tasks);
  tasks.add("b", [this] { say("b"); });
  tasks.add("a", [this] {
    for (int i = 0; i < 4; ++i) {
      guard hold{first};
      say("a");
    }
  });
  run_to_the_end(tasks);
  EXPECT_EQ(order(), "aabaa");
}

TEST_F(StagedThreads, AStageIsOverWhenItsTaskWaitsOrIsNotThere) {
  const std::vector<stage> stages{{"nobody"}, {"a", {"second.lock"}}, {"b"}, {"c"}};
  staged_threads tasks{stages};
  lockdep::set_listener(&tasks);
  tasks.add("c", [this] { say("c"); });
  tasks.add("b", [this] {
    say("b");
    guard wait{first};
    say("B");
  });
  tasks.add("a", [this] {
    guard hold{first};
    say("a");
    guard then{second};
    say("A");
  });
  run_to_the_end(tasks);
  EXPECT_EQ(order(), "abcAB");
}

TEST_F(StagedThreads, AFailedTryIsAWait) {
  const std::vector<stage> stages{{"a", {"second.lock"}}, {"b"}, {"c"}};
  staged_threads tasks{stages};
  lockdep::set_listener(&tasks);
  std::atomic<bool> got = false;
  tasks.add("c", [this] { say("c"); });
  tasks.add("b", [&] {
    while (!first.try_lock()) std::this_thread::yield();
    first.unlock();
    got = true;
  });
  tasks.add("a", [this] {
    guard hold{first};
    guard then{second};
  });
  run_to_the_end(tasks);
  EXPECT_TRUE(got);
  EXPECT_EQ(order(), "c");
}

TEST_F(StagedThreads, TasksThatAreAddedLaterWaitForTheEndOfTheStages) {
  const std::vector<stage> stages{{"a", {"first"}}, {"b"}};
  staged_threads tasks{stages};
  lockdep::set_listener(&tasks);
  tasks.add("b", [this] { say("b"); });
  tasks.add("a", [&] {
    tasks.add("c", [this] {
      guard hold{second};
      say("c");
    });
    guard hold{second};
    guard then{first};
    say("a");
  });
  run_to_the_end(tasks);
  EXPECT_EQ(order(), "bac");
}

TEST_F(StagedThreads, StuckAreThoseThatNobodyCouldWake) {
  guard hold{first};  // not by one of the tasks: they can be let go
  {
    staged_threads tasks{{}};
    lockdep::set_listener(&tasks);
    std::atomic<bool> end = false;
    tasks.add("busy", [&] {
      while (!end) std::this_thread::yield();
    });
    tasks.add("waits", [this] { guard wait{first}; });
    while (blocked_tasks::waits().empty()) std::this_thread::yield();
    EXPECT_TRUE(tasks.stuck().empty());
    end = true;
    while (tasks.stuck().empty()) std::this_thread::yield();
    EXPECT_EQ(tasks.stuck().size(), 1U);
    EXPECT_FALSE(tasks.all_ended());
    first.unlock();
    run_to_the_end(tasks);
    EXPECT_TRUE(tasks.stuck().empty());
    first.lock();
  }
}

}  // namespace
}  // namespace memhp
