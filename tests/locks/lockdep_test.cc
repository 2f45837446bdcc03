#include "locks/lockdep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

using testing::HasSubstr;
using enum read_kind;

constexpr lock_class_key key_a{"A"};
constexpr lock_class_key key_b{"B"};
constexpr lock_class_key key_c{"C"};
constexpr lock_class_key key_d{"D"};
constexpr lock_class_key key_unchecked{"unchecked", 3, lock_validation::off};

#ifdef __SANITIZE_THREAD__
constexpr int stress_rounds = 100;
constexpr int many_locks = 300;
#else
constexpr int stress_rounds = 2000;
constexpr int many_locks = 3000;
#endif

struct Lockdep : testing::Test {
  recorded_reports reports;
  dep_map a{key_a}, b{key_b}, c{key_c};

  static void under(dep_map& outer, read_kind as, dep_map& inner, read_kind wanted) {
    lockdep::acquire(outer, {.read = as});
    lockdep::acquire(inner, {.read = wanted});
    lockdep::release(inner);
    lockdep::release(outer);
  }
  // Takes the locks in this order and gives them back.
  static void nest(const std::vector<dep_map*>& locks) {
    for (dep_map* lock : locks) lockdep::acquire(*lock, {});
    for (auto lock = locks.rbegin(); lock != locks.rend(); ++lock)
      lockdep::release(**lock);
  }
};

TEST_F(Lockdep, ReportsAnInversionThoughNobodyEverWaited) {
  nest({&a, &b});
  EXPECT_EQ(reports.count(), 0U);
  nest({&b, &a});
  ASSERT_EQ(reports.count(), 1U);
  const auto report = reports.last<circular_report>();
  EXPECT_EQ(report.wanted.lock.name, "A");
  EXPECT_EQ(report.wanted.instance, &a);
  EXPECT_EQ(report.blocking.lock.name, "B");
  EXPECT_EQ(report.blocking.instance, &b);
  ASSERT_EQ(report.chain.size(), 2U);
  EXPECT_EQ(report.chain[0].lock.name, "A");
  EXPECT_EQ(report.chain[1].lock.name, "B");
  ASSERT_EQ(report.held.size(), 1U);
  EXPECT_EQ(report.held[0].lock.name, "B");
  EXPECT_EQ(report.task.pid, gettid());
}

TEST_F(Lockdep, SaysEachCycleOnceAndGoesOn) {
  nest({&a, &b});
  for (int i = 0; i < 3; ++i) nest({&b, &a});
  EXPECT_EQ(reports.count(), 1U);
  nest({&b, &c});
  nest({&c, &b});
  EXPECT_EQ(reports.count(), 2U);
  EXPECT_EQ(lockdep::count().reports, 2U);
}

TEST_F(Lockdep, OneCycleIsOneWhoeverClosesIt) {
  nest({&a, &b});
  nest({&b, &c});
  nest({&c, &a});
  dep_map other{key_c};
  nest({&other, &a});
  EXPECT_EQ(reports.count(), 1U);
}

TEST_F(Lockdep, ADependencyThatClosesSeveralCyclesIsSaidOnceWithTheShortest) {
  nest({&a, &b});
  nest({&b, &c});
  nest({&a, &c});
  EXPECT_EQ(reports.count(), 0U);
  nest({&c, &a});  // a b c a is one, a c a another
  ASSERT_EQ(reports.count(), 1U);
  const auto report = reports.last<circular_report>();
  ASSERT_EQ(report.chain.size(), 2U);
  EXPECT_EQ(report.chain[0].lock.name, "A");
  EXPECT_EQ(report.chain[1].lock.name, "C");
}

// A write under b closes two cycles, of which a read under it had closed the shorter one.
TEST_F(Lockdep, ADependencyWhoseShortestCycleIsKnownIsSaidWithTheNext) {
  under(a, write, b, write);
  under(b, write, a, recursive_read);
  EXPECT_EQ(reports.count(), 1U);
  under(a, read, c, write);
  under(c, write, b, write);
  EXPECT_EQ(reports.count(), 1U);
  under(b, write, a, write);
  ASSERT_EQ(reports.count(), 2U);
  const auto report = reports.last<circular_report>();
  ASSERT_EQ(report.chain.size(), 3U);
  EXPECT_EQ(report.chain[0].lock.name, "A");
  EXPECT_EQ(report.chain[1].lock.name, "C");
  EXPECT_EQ(report.chain[2].lock.name, "B");
  under(b, write, a, write);
  under(b, write, a, read);
  EXPECT_EQ(reports.count(), 2U);
}

// Known cycles of three are in the way of a longer one, in each of which another edge is.
TEST_F(Lockdep, ACycleIsFoundBehindSeveralThatAreKnown) {
  dep_map d{key_d};
  under(a, write, b, write);
  under(a, write, c, write);
  under(c, write, b, write);
  under(b, write, a, recursive_read);  // a b, the shortest
  under(b, read, a, recursive_read);   // a c b, now that the other is known
  EXPECT_EQ(reports.count(), 2U);
  under(a, read, d, write);
  under(d, write, b, write);
  under(b, write, a, write);  // a d b, behind both
  ASSERT_EQ(reports.count(), 3U);
  EXPECT_EQ(reports.last<circular_report>().chain[1].lock.name, "D");
}

TEST_F(Lockdep, EveryEdgeOfTheChainHasTheStackOfItsFirstTime) {
  nest({&a, &b});
  nest({&b, &c});
  nest({&c, &a});
  ASSERT_EQ(reports.count(), 1U);
  const auto report = reports.last<circular_report>();
  ASSERT_EQ(report.chain.size(), 3U);
  for (const circular_report::link& link : report.chain) {
    ASSERT_FALSE(link.stack.empty());
    EXPECT_THAT(symbolize(link.stack.frames().front()), HasSubstr("nest+"));
  }
}

TEST_F(Lockdep, ClassesCountAndNotLocks) {
  dep_map other_a{key_a}, other_b{key_b};
  nest({&a, &b});
  nest({&other_b, &other_a});
  EXPECT_EQ(reports.count(), 1U);
}

TEST_F(Lockdep, NothingLeadsToATrylock) {
  nest({&a, &b});
  lockdep::acquire(b, {});
  lockdep::acquire(a, {.trylock = true});
  lockdep::release(a);
  lockdep::release(b);
  EXPECT_EQ(reports.count(), 0U);
}

TEST_F(Lockdep, WhatIsWantedUnderATrylockDependsOnItAndOnWhatIsBelow) {
  lockdep::acquire(a, {});
  lockdep::acquire(b, {.trylock = true});
  lockdep::acquire(c, {});
  for (dep_map* lock : {&c, &b, &a}) lockdep::release(*lock);
  nest({&c, &a});
  nest({&c, &b});
  EXPECT_EQ(reports.count(), 2U);
}

TEST_F(Lockdep, BelowALockThatWasWaitedForNothingIsAdded) {
  nest({&a, &b, &c});  // a -> b -> c, and no a -> c
  const auto& known = lockdep::dependencies();
  EXPECT_EQ(known.size(), 2U);
}

TEST_F(Lockdep, AnUncheckedClassIsHeldButNeverLookedAt) {
  dep_map unchecked{key_unchecked};
  nest({&a, &unchecked});
  nest({&unchecked, &a});
  EXPECT_EQ(reports.count(), 0U);
  EXPECT_EQ(unchecked.class_of().usage(), lock_usage{});
  lockdep::acquire(unchecked, {});
  EXPECT_TRUE(lockdep::is_held(unchecked));
  lockdep::release(unchecked);
}

TEST_F(Lockdep, AnUncheckedLockDoesNotHideWhatIsBelowIt) {
  dep_map unchecked{key_unchecked};
  nest({&a, &unchecked, &b});
  nest({&b, &a});
  EXPECT_EQ(reports.count(), 1U);
}

// As the kernel's: an order across a lock of a no-validate class is known and counted,
// but at distance 2, and /proc/lockdep lists what is at distance 1.
TEST_F(Lockdep, AnOrderAcrossAnUncheckedLockIsKnownButNotDirect) {
  dep_map unchecked{key_unchecked};
  nest({&a, &unchecked, &b});
  ASSERT_EQ(lockdep::dependencies().size(), 1U);
  EXPECT_FALSE(lockdep::dependencies()[0].direct);
  lockdep_snapshot shot = lockdep::snapshot();
  ASSERT_EQ(shot.classes[0].lock.name, "A");
  EXPECT_TRUE(shot.classes[0].successors.empty());
  EXPECT_EQ(shot.classes[0].forward, 2U);  // A itself and B
  EXPECT_THAT(lockdep_text(shot), testing::Not(HasSubstr(" -> ")));
  nest({&a, &b});
  shot = lockdep::snapshot();
  EXPECT_EQ(shot.classes[0].successors.size(), 1U);
  EXPECT_THAT(lockdep_text(shot), HasSubstr("] B\n"));
}

TEST_F(Lockdep, ReportsRecursionOnOneLockAndWithinOneClass) {
  nest({&a, &a});
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_TRUE(reports.last_is<recursive_report>());
  dep_map other_b{key_b};
  nest({&b, &other_b});
  EXPECT_EQ(reports.count(), 2U);
}

TEST_F(Lockdep, AReadThatDoesNotRecurseIsReportedWithoutAnyWriter) {
  lockdep::acquire(a, {.read = read});
  lockdep::acquire(a, {.read = read});
  lockdep::release(a);
  lockdep::release(a);
  EXPECT_EQ(reports.count(), 1U);
}

TEST_F(Lockdep, ASubclassIsAnotherClass) {
  dep_map child{key_a};
  lockdep::acquire(a, {});
  lockdep::acquire(child, {.subclass = 1});
  lockdep::release(child);
  lockdep::release(a);
  EXPECT_EQ(reports.count(), 0U);
  EXPECT_EQ(child.class_of(1).full_name(), "A/1");
}

TEST_F(Lockdep, WhoHoldsTheNestLockMayTakeManyOfAClass) {
  dep_map other{key_a};
  lockdep::acquire(b, {});
  lockdep::acquire(a, {.nest = &b});
  lockdep::acquire(other, {.nest = &b});
  for (dep_map* lock : {&other, &a, &b}) lockdep::release(*lock);
  EXPECT_EQ(reports.count(), 0U);
}

TEST_F(Lockdep, ReleasesInAnyOrderAndKeepsWhatIsStillHeld) {
  lockdep::acquire(a, {});
  lockdep::acquire(b, {});
  lockdep::acquire(c, {});
  lockdep::release(b);
  EXPECT_TRUE(lockdep::is_held(a));
  EXPECT_FALSE(lockdep::is_held(b));
  EXPECT_TRUE(lockdep::is_held(c));
  lockdep::release(a);
  lockdep::release(c);
  nest({&c, &a});  // c was held under a
  EXPECT_EQ(reports.count(), 1U);
}

TEST_F(Lockdep, ReportsTheReleaseOfWhatIsNotHeld) {
  lockdep::acquire(a, {});
  lockdep::release(b);
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_TRUE(reports.last_is<bad_unlock_report>());
  const auto report = reports.last<bad_unlock_report>();
  EXPECT_EQ(report.lock.name, "B");
  EXPECT_THAT(symbolize(report.at), HasSubstr("TestBody"));
  EXPECT_EQ(report.held.size(), 1U);
  EXPECT_FALSE(report.holder);
  lockdep::release(a);
}

TEST_F(Lockdep, ReportsALockThatDiesHeld) {
  std::optional<dep_map> brief{std::in_place, key_c};
  lockdep::acquire(*brief, {});
  brief.reset();
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_TRUE(reports.last_is<held_destroyed_report>());
  EXPECT_EQ(reports.last<held_destroyed_report>().lock.lock.name, "C");
  EXPECT_TRUE(lockdep::held_locks().empty());  // forgotten
}

TEST_F(Lockdep, ReportsAThreadThatEndsWithALock) {
  std::thread{[&] { lockdep::acquire(a, {}); }}.join();
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_TRUE(reports.last_is<held_at_exit_report>());
  EXPECT_EQ(reports.last<held_at_exit_report>().held.size(), 1U);
}

TEST_F(Lockdep, AThreadThatEndsInAnotherTaskAnswersForItsOwnLocks) {
  lockdep::task_state fiber{"fiber"};
  std::thread{[&] {
    lockdep::acquire(a, {});
    lockdep::set_current(&fiber);
    lockdep::acquire(b, {});
  }}.join();
  ASSERT_EQ(reports.count(), 1U);
  const auto report = reports.last<held_at_exit_report>();
  ASSERT_EQ(report.held.size(), 1U);
  EXPECT_EQ(report.held[0].lock.name, "A");
  // The fiber goes on elsewhere.
  EXPECT_EQ(fiber.depth(), 1U);
  lockdep::task_state* const me = lockdep::set_current(&fiber);
  EXPECT_TRUE(lockdep::held(b));
  lockdep::release(b);
  lockdep::set_current(me);
  EXPECT_EQ(reports.count(), 1U);
}

TEST_F(Lockdep, ATaskIsReportedThoughTheThreadWhereItDiesHasTakenNoLock) {
  auto brief = std::make_unique<lockdep::task_state>("brief");
  lockdep::set_current(brief.get());
  lockdep::acquire(a, {});
  lockdep::set_current(nullptr);
  std::thread{[&] { brief.reset(); }}.join();
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_EQ(reports.last<held_at_exit_report>().task.comm, "brief");
}

// What it held before the validator was off for a while is not known.
TEST_F(Lockdep, ATaskWhoseLocksAreOfAnotherEpochDiesQuietly) {
  {
    lockdep::task_state brief{"brief"};
    lockdep::set_current(&brief);
    lockdep::acquire(a, {});
    lockdep::set_current(nullptr);
    lockdep::set_on(false);
    lockdep::set_on(true);
  }
  EXPECT_EQ(reports.count(), 0U);
}

TEST_F(Lockdep, AssertionsKnowWhoHoldsItAndHow) {
  lockdep::assert_held(a);
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_TRUE(reports.last_is<assert_report>());
  lockdep::acquire(a, {.read = read});
  lockdep::assert_held(a);
  lockdep::assert_held(a, lockdep::hold::read);
  EXPECT_EQ(reports.count(), 1U);
  lockdep::assert_held(a, lockdep::hold::write);
  EXPECT_EQ(reports.count(), 2U);
  lockdep::assert_not_held(a);
  EXPECT_TRUE(reports.last_is<assert_report>());
  std::thread{[&] { lockdep::assert_not_held(a); }}.join();
  EXPECT_EQ(reports.count(), 3U);
  lockdep::release(a);
}

TEST_F(Lockdep, AWaitForWhatNeedsAHeldLockIsACycle) {
  constexpr lock_class_key work_key{"(work_completion)", 0};
  dep_map work{work_key};
  nest({&work, &a});  // the work takes a
  lockdep::acquire(a, {});
  lockdep::wait_for(work);  // flushed under a
  lockdep::release(a);
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_EQ(reports.last<circular_report>().wanted.lock.name, "(work_completion)");
}

TEST_F(Lockdep, ATaskOfItsOwnHoldsItsOwn) {
  lockdep::task_state fiber{"fiber"};
  lockdep::acquire(a, {});
  lockdep::task_state* const thread = lockdep::set_current(&fiber);
  EXPECT_FALSE(lockdep::is_held(a));
  lockdep::acquire(b, {});
  lockdep::set_current(thread);
  EXPECT_TRUE(lockdep::is_held(a));
  EXPECT_FALSE(lockdep::is_held(b));
  lockdep::set_current(&fiber);
  lockdep::release(b);
  lockdep::set_current(nullptr);
  lockdep::release(a);
  EXPECT_EQ(reports.count(), 0U);
}

TEST_F(Lockdep, AReporterMayTakeLocks) {
  int reported = 0;
  auto former = lockdep::set_reporter([&](const lockdep_report&) {
    ++reported;
    nest({&b, &a});
    nest({&a, &b});
  });
  nest({&a, &b});
  nest({&b, &a});
  EXPECT_EQ(reported, 1);
  lockdep::set_reporter(std::move(former));
}

TEST_F(Lockdep, CountsWhatItKnows) {
  nest({&a, &b});
  nest({&b, &c});
  const lockdep::counters known = lockdep::count();
  EXPECT_EQ(known.direct_dependencies, 2U);
  EXPECT_EQ(known.indirect_dependencies, 3U);
  EXPECT_EQ(known.chains, 4U);  // a, a b, b, b c
  EXPECT_EQ(known.chain_hlocks, 6U);
  EXPECT_EQ(known.max_depth, 2U);
  EXPECT_EQ(known.stack_traces, 2U);
}

TEST_F(Lockdep, ThreadsLearnTogether) {
  std::thread{[&] { nest({&a, &b}); }}.join();
  std::thread{[&] { nest({&b, &a}); }}.join();
  EXPECT_EQ(reports.count(), 1U);
}

TEST_F(Lockdep, ManyThreadsWithOneOrderAreQuiet) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < stress_rounds; ++n) {
        nest({&a, &b});
        nest({&b, &c});
        nest({&a, &c});
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(reports.count(), 0U);
  EXPECT_EQ(lockdep::count().direct_dependencies, 3U);
}

TEST_F(Lockdep, TablesGrow) {
  std::vector<std::unique_ptr<dep_map>> many;
  for (int i = 0; i < many_locks; ++i)
    many.push_back(std::make_unique<dep_map>(&many + 1 + i, key_a));
  for (std::size_t i = 0; i + 1 < many.size(); ++i)
    nest({many[i].get(), many[i + 1].get()});
  EXPECT_EQ(reports.count(), 0U);
  for (auto& lock : many) lockdep::acquire(*lock, {});  // deeper than the kernel's 48
  EXPECT_EQ(lockdep::current().depth(), many.size());
  for (auto lock = many.rbegin(); lock != many.rend(); ++lock) lockdep::release(**lock);
  nest({many[59].get(), many.front().get()});
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_EQ(reports.last<circular_report>().chain.size(), 60U);
}

TEST_F(Lockdep, TheChildOfAForkGoesOnWithWhatTheForkingThreadHeld) {
  std::atomic<bool> taken = false, done = false;
  std::jthread other{[&] {  // is not in the child, nor is what it holds
    lockdep::acquire(c, {});
    taken = true;
    taken.notify_one();
    done.wait(false);
    lockdep::release(c);
  }};
  taken.wait(false);
  lockdep::acquire(a, {});
  const pid_t child = fork();
  if (child == 0) {
    nest({&b, &c});
    nest({&a});  // again
    const bool knows = lockdep::held(a) && reports.last_is<recursive_report>() &&
                       reports.last<recursive_report>().task.pid == gettid();
    lockdep::release(a);
    lockdep::release(c);
    const bool alone =
        reports.last_is<bad_unlock_report>() && !reports.last<bad_unlock_report>().holder;
    _exit(knows && alone ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  lockdep::release(a);
  EXPECT_EQ(reports.count(), 0U);
  done = true;
  done.notify_one();
}

TEST(LockdepOff, LearnsAndReportsNothing) {
  dep_map a{key_a};
  lockdep::acquire(a, {});
  EXPECT_TRUE(lockdep::is_held(a));  // nothing is known
  lockdep::assert_held(a);
  EXPECT_TRUE(lockdep::held_locks().empty());
  lockdep::release(a);
}

// --- who holds it ---------------------------------------------------------------------

TEST_F(Lockdep, ABadUnlockNamesWhoHoldsTheLockInstead) {
  lockdep::task_state other{"other", 77};
  lockdep::task_state* const me = lockdep::set_current(&other);
  lockdep::acquire(a, {.read = read});
  lockdep::set_current(me);
  lockdep::release(a);
  const auto report = reports.last<bad_unlock_report>();
  ASSERT_TRUE(report.holder);
  EXPECT_EQ(report.holder->comm, "other");
  EXPECT_EQ(report.holder->pid, 77);
  ASSERT_TRUE(report.held_as);
  EXPECT_TRUE(report.held_as->read);
  EXPECT_EQ(report.held_as->instance, &a);
  EXPECT_THAT(symbolize(report.held_as->at), HasSubstr("TestBody"));
  EXPECT_THAT(to_text(report, report_format_6_1), HasSubstr("other/77"));
  lockdep::set_current(&other);
  lockdep::release(a);
  lockdep::set_current(nullptr);
}

TEST_F(Lockdep, ALockThatDiesWhileAnotherTaskHoldsItIsReportedWithThatTask) {
  std::optional<dep_map> brief{std::in_place, key_c};
  lockdep::task_state other{"other"};
  lockdep::task_state* const me = lockdep::set_current(&other);
  lockdep::acquire(*brief, {});
  lockdep::set_current(me);
  const dep_map* const address = &*brief;
  brief.reset();
  const auto report = reports.last<held_destroyed_report>();
  ASSERT_TRUE(report.holder);
  EXPECT_EQ(report.holder->comm, "other");
  EXPECT_EQ(report.lock.instance, address);
  lockdep::set_current(&other);
  lockdep::check_task_exit();
  lockdep::set_current(nullptr);
}

TEST_F(Lockdep, ATaskThatDiesHoldingALockIsReported) {
  {
    lockdep::task_state brief{"brief", 5};
    lockdep::set_current(&brief);
    lockdep::acquire(a, {});
    lockdep::set_current(nullptr);
  }
  ASSERT_TRUE(reports.last_is<held_at_exit_report>());
  EXPECT_EQ(reports.last<held_at_exit_report>().task.comm, "brief");
  EXPECT_EQ(reports.last<held_at_exit_report>().held.size(), 1U);
}

TEST_F(Lockdep, AFailedAssertionIsSaidOnceForEachPlace) {
  for (int i = 0; i < 3; ++i) lockdep::assert_held_write(a);
  ASSERT_EQ(reports.count(), 1U);
  const auto report = reports.last<assert_report>();
  EXPECT_EQ(report.assertion, "lockdep_assert_held_write(A)");
  EXPECT_THAT(report.file, HasSubstr("lockdep_test.cc"));
  lockdep::assert_held_read(a);
  EXPECT_EQ(reports.count(), 2U);
}

TEST_F(Lockdep, WhatATaskHoldsIsListedOutermostFirst) {
  lockdep::acquire(a, {});
  lockdep::acquire(b, {.read = read});
  const std::vector<reported_lock> held = lockdep::held_locks();
  ASSERT_EQ(held.size(), 2U);
  EXPECT_EQ(held[0].lock.name, "A");
  EXPECT_FALSE(held[0].read);
  EXPECT_EQ(held[1].lock.name, "B");
  EXPECT_TRUE(held[1].read);
  lockdep::release(b);
  lockdep::release(a);
}

TEST_F(Lockdep, WhatWasHeldWhileItWasOffIsForgotten) {
  lockdep::acquire(a, {});
  lockdep::set_on(false);
  lockdep::release(a);
  lockdep::set_on(true);
  EXPECT_FALSE(lockdep::held(a));
  lockdep::acquire(b, {});
  lockdep::release(b);
  EXPECT_TRUE(lockdep::dependencies().empty());
  EXPECT_EQ(reports.count(), 0U);
}

// --- which edges ----------------------------------------------------------------------

// "sn" edges and so on between named classes, as they were added.
std::vector<std::string> edges_added() {
  std::vector<std::string> all;
  for (const lockdep::dependency& edge : lockdep::dependencies())
    all.push_back(lock_class_at(edge.from).name + " " + lock_class_at(edge.to).name);
  return all;
}

// echo online > memory8/state: sb_writers, of->mutex, the active reference and
// device_hotplug_lock by trylock, dev->mutex unchecked, then cpu and mem.
TEST_F(Lockdep, TheWalkStopsAtTheFirstLockThatWasWaitedFor) {
  static constexpr lock_class_key keys[] = {{"sb_writers"}, {"of->mutex"}, {"kn"},
                                            {"dh"},         {"cpu"},       {"mem"}};
  dep_map sb{keys[0]}, of{keys[1]}, kn{keys[2]}, dh{keys[3]}, cpu{keys[4]}, mem{keys[5]};
  dep_map dev{key_unchecked};
  lockdep::acquire(sb, {.read = read});
  lockdep::acquire(of, {});
  lockdep::acquire(kn, {.read = read, .trylock = true});
  lockdep::acquire(dh, {.trylock = true});
  lockdep::acquire(dev, {});
  EXPECT_THAT(edges_added(), testing::ElementsAre("sb_writers of->mutex"));
  lockdep::acquire(cpu, {.read = read});
  EXPECT_THAT(edges_added(), testing::ElementsAre("sb_writers of->mutex", "dh cpu",
                                                  "kn cpu", "of->mutex cpu"));
  lockdep::acquire(mem, {});
  EXPECT_EQ(edges_added().back(), "cpu mem");
  EXPECT_EQ(edges_added().size(), 5U);
  for (dep_map* lock : {&mem, &cpu, &dev, &dh, &kn, &of, &sb}) lockdep::release(*lock);
  EXPECT_EQ(reports.count(), 0U);
}

// No strong path leads through a recursive read that is held shared, so what lies below
// it would be lost.
TEST_F(Lockdep, WhatLiesBelowARecursiveReadIsConnectedToo) {
  lockdep::acquire(a, {});
  lockdep::acquire(b, {.read = recursive_read});
  lockdep::acquire(c, {});
  for (dep_map* lock : {&c, &b, &a}) lockdep::release(*lock);
  nest({&c, &a});
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_EQ(reports.last<circular_report>().chain.size(), 2U);
}

// Draining a file's readers while a lock is held that a reader takes.
TEST_F(Lockdep, AnActiveReferenceIsATriedReadAndItsDrainAWrite) {
  const int attribute = 0;
  dep_map file{&attribute, "kn->active"};
  lockdep::acquire(file, {.read = read, .trylock = true});
  lockdep::acquire(a, {});
  lockdep::release(a);
  lockdep::release(file);
  EXPECT_EQ(reports.count(), 0U);
  lockdep::acquire(a, {});
  lockdep::wait_for(file);
  lockdep::release(a);
  ASSERT_EQ(reports.count(), 1U);
  const auto report = reports.last<circular_report>();
  EXPECT_EQ(report.wanted.lock.name, "kn->active");
  EXPECT_EQ(report.wanted.lock.usage,
            (lock_usage{.write = true, .read = true, .reclaim_read = true}));
  EXPECT_EQ(report.blocking.lock.name, "A");
}

TEST_F(Lockdep, OtherCyclesThroughAReportedEdgeAreFoundToo) {
  nest({&a, &b});
  nest({&b, &a});  // reported
  nest({&a, &c});
  EXPECT_EQ(reports.count(), 1U);
  nest({&c, &b});  // a c b a, through the edge that was reported
  EXPECT_EQ(reports.count(), 2U);
  EXPECT_EQ(reports.last<circular_report>().chain.size(), 3U);
}

TEST_F(Lockdep, OneLockTakenTwiceIsReportedThoughItsClassWasBefore) {
  dep_map other{key_a};
  nest({&a, &other});
  nest({&a, &other});
  EXPECT_EQ(reports.count(), 1U);
  nest({&a, &a});
  EXPECT_EQ(reports.count(), 2U);
}

// A program that goes on must not run out of memory for it.
TEST_F(Lockdep, ARecursionIsNoChainHoweverOftenItHappens) {
  dep_map other{key_a};
  for (int i = 0; i < many_locks; ++i) nest({&a, &other});
  EXPECT_EQ(lockdep::count().chains, 1U);
  EXPECT_EQ(lockdep::count().chain_hlocks, 1U);
  nest({&a, &a});
  ASSERT_EQ(reports.count(), 2U);
  // All is said of the class: from now on it costs what a chain does.
  nest({&a, &other});
  const std::size_t misses = lockdep::count().chain_misses;
  for (int i = 0; i < many_locks; ++i) nest({&a, &a});
  EXPECT_EQ(lockdep::count().chain_misses, misses);
  EXPECT_EQ(lockdep::count().chains, 1U);
  EXPECT_EQ(reports.count(), 2U);
}

TEST_F(Lockdep, ANestLockMustBeHeldEachTime) {
  dep_map other{key_a};
  lockdep::acquire(b, {});
  nest({&a});
  lockdep::acquire(a, {.nest = &b});
  EXPECT_EQ(reports.count(), 0U);
  lockdep::release(a);
  lockdep::release(b);
  lockdep::acquire(a, {.nest = &b});
  EXPECT_TRUE(reports.last_is<nest_lock_report>());
  EXPECT_EQ(reports.last<nest_lock_report>().wanted.lock.name, "A");
  EXPECT_EQ(reports.last<nest_lock_report>().nest, "B");
  lockdep::release(a);
}

TEST_F(Lockdep, EachEdgeKeepsOneStackAndEqualStacksAreKeptOnce) {
  for (int i = 0; i < 2; ++i) {
    nest({&a, &b});
    nest({&a, &b});
  }
  EXPECT_EQ(lockdep::count().stack_traces, 1U);
  EXPECT_EQ(lockdep::count().cyclic_checks, 1U);
}

// --- lock_stat and the texts of /proc -------------------------------------------------

std::uint64_t fake_time = 1;

struct LockdepStat : Lockdep {
  LockdepStat() {
    lock_stat::reset();
    lock_stat::set_clock([] { return fake_time; });
    lockdep::set_lock_stat(true);
  }
  ~LockdepStat() override {
    lockdep::set_lock_stat(false);
    lock_stat::set_clock(nullptr);
  }
};

TEST_F(LockdepStat, CountsWaitsAndHolds) {
  lockdep::acquire(a, {});
  lockdep::contended(a);
  fake_time += 100;
  lockdep::acquired(a);
  lockdep::acquire(b, {.read = read});
  lockdep::acquired(b);
  fake_time += 40;
  lockdep::release(a);  // out of order
  lockdep::release(b);
  const lock_class_stats of_a = lock_stat::snapshot(a.class_of().id);
  EXPECT_EQ(of_a.write.wait.nr, 1U);
  EXPECT_EQ(of_a.write.wait.total_ns, 100U);
  EXPECT_EQ(of_a.write.hold.total_ns, 40U);
  const lock_class_stats of_b = lock_stat::snapshot(b.class_of().id);
  EXPECT_EQ(of_b.read.wait.nr, 0U);
  EXPECT_EQ(of_b.read.hold.nr, 1U);
  EXPECT_EQ(lockdep::lock_stat_rows().size(), 2U);
}

TEST_F(LockdepStat, CountsWithoutTheValidatorToo) {
  lockdep::set_on(false);
  lockdep::acquire(a, {});
  lockdep::acquired(a);
  fake_time += 7;
  lockdep::release(a);
  lockdep::release(a);  // nobody checks
  EXPECT_EQ(lock_stat::snapshot(a.class_of().id).write.hold.total_ns, 7U);
  EXPECT_EQ(reports.count(), 0U);
  EXPECT_TRUE(lockdep::dependencies().empty());
  const std::vector<lock_stat_row> rows = lockdep::lock_stat_rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].lock.name, "A");
  EXPECT_EQ(rows[0].stats.write.hold.nr, 1U);
}

TEST_F(LockdepStat, WhatWasTakenBeforeItWasOnIsNotTimed) {
  lockdep::set_lock_stat(false);
  lockdep::acquire(a, {});
  lockdep::set_lock_stat(true);
  lockdep::contended(a);
  lockdep::acquired(a);
  lockdep::release(a);
  EXPECT_EQ(lock_stat::snapshot(a.class_of().id).write.hold.nr, 0U);
  EXPECT_EQ(reports.count(), 0U);
}

TEST_F(Lockdep, ASnapshotBecomesTheTextsOfProc) {
  lockdep::acquire(a, {});
  lockdep::acquire(b, {.trylock = true});
  lockdep::acquire(c, {.read = read});
  for (dep_map* lock : {&c, &b, &a}) lockdep::release(*lock);
  const lockdep_snapshot shot = lockdep::snapshot();
  ASSERT_EQ(shot.classes.size(), 3U);
  EXPECT_EQ(shot.classes[0].forward, 2U);  // a itself and c
  EXPECT_EQ(shot.classes[2].backward, 3U);
  EXPECT_TRUE(shot.classes[0].successors.empty());  // b was in between
  EXPECT_EQ(shot.classes[1].successors, std::vector<std::size_t>{2});
  EXPECT_EQ(shot.chains, (std::vector<proc_chain>{{0}, {0, 1, 2}}));
  EXPECT_EQ(shot.max_depth, 3U);
  EXPECT_THAT(lockdep_text(shot), HasSubstr("B"));
  EXPECT_THAT(lockdep_stats_text(shot), HasSubstr("lock-classes"));
}

using LockdepDeathTest = Lockdep;

TEST_F(LockdepDeathTest, TakingOneLockTwiceAbortsAndTwoOfAClassDoNot) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  dep_map other{key_a};
  EXPECT_DEATH(
      {
        lockdep::set_reporter({});
        lockdep::set_on_error(lockdep::on_error::abort);
        nest({&a, &other});
        std::fputs("went on;", stderr);
        nest({&a, &a});
      },
      "went on;(.|\n)*possible recursive locking");
}

TEST_F(LockdepDeathTest, AProgrammersErrorAborts) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        lockdep::set_reporter({});
        lockdep::set_on_error(lockdep::on_error::abort);
        lockdep::assert_held(a);
      },
      "lockdep_assert_held\\(A\\)");
}

}  // namespace
}  // namespace memhp
