// The scheduler on small programs of locks: what it finds, and that it finds it again.
#include "emu/explore/fiber_scheduler.h"

#include <optional>
#include <set>

#include "locks/cell.h"
#include "locks/guards.h"
#include "locks/tracked.h"
#include "tests/emu/explore/fibers.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

constexpr lock_class_key key_a{"a"};
constexpr lock_class_key key_b{"b"};
constexpr lock_class_key key_rw{"rw"};
constexpr lock_class_key key_done{"done"};

// What the programs use; born and dead within an execution.
struct things {
  tracked_mutex a{key_a};
  tracked_mutex b{key_b};
  tracked_percpu_rw_semaphore rw{key_rw};
  tracked_completion done{key_done};
  tracked_wait_queue queue{"queue"};
  cell<int> guarded{"guarded", 0};
  atomic_cell<int> shared{"shared", 0};
};

using program = std::vector<std::function<void(things&)>>;

// Runs the program once, by a schedule or a seed.
outcome run(const program& tasks, std::uint64_t seed, const char* schedule = nullptr,
            const std::function<void(things&)>& look = nullptr) {
  static stack_pool stacks;
  fiber_scheduler scheduler{stacks};
  std::optional<things> t;
  scheduler.outside([&] { t.emplace(); });
  for (const auto& task : tasks)
    scheduler.add_task("task " + std::to_string(&task - tasks.data()), [&] { task(*t); });
  outcome end =
      schedule != nullptr ? scheduler.replay(schedule) : scheduler.random_walk(seed);
  scheduler.outside([&] {
    if (look) look(*t);
    t.reset();
  });
  return end;
}

// The first of the seeds whose run ends so.
std::optional<outcome> find(const program& tasks, outcome::end how,
                            unsigned seeds = 200) {
  for (unsigned seed = 0; seed < seeds; ++seed)
    if (outcome end = run(tasks, seed); end.how == how) return end;
  return std::nullopt;
}

void both(tracked_mutex& first, tracked_mutex& second) {
  guard one{first};
  guard two{second};
}

const program inverted = {[](things& t) { both(t.a, t.b); },
                          [](things& t) { both(t.b, t.a); }};

TEST(FiberScheduler, FindsTheDeadlockOfTwoOrders) {
  SKIP_WITHOUT_FIBERS();
  const auto end = find(inverted, outcome::end::deadlock);
  ASSERT_TRUE(end);
  ASSERT_EQ(end->stuck.size(), 2U);
  EXPECT_EQ(end->stuck[0].name, "task 0");
  EXPECT_EQ(end->stuck[0].waits_for, "lock of b, held by task 1");
  EXPECT_EQ(end->stuck[1].waits_for, "lock of a, held by task 0");
}

TEST(FiberScheduler, ReplaysASchedule) {
  SKIP_WITHOUT_FIBERS();
  const auto once = find(inverted, outcome::end::deadlock);
  ASSERT_TRUE(once);
  for (int i = 0; i < 3; ++i) {
    const outcome again = run(inverted, 0, once->schedule.c_str());
    EXPECT_EQ(again.how, outcome::end::deadlock);
    EXPECT_EQ(again.digest, once->digest);
    EXPECT_EQ(again.what, once->what);
  }
}

TEST(FiberScheduler, NoticesAReplayThatDiffers) {
  SKIP_WITHOUT_FIBERS();
  const auto once = find(inverted, outcome::end::finished);
  ASSERT_TRUE(once);
  const program other = {[](things& t) { both(t.a, t.b); },
                         [](things& t) { guard g{t.b}; }};
  const auto replayed = [](const program& p, const std::string& schedule) {
    return run(p, 0, schedule.c_str()).how;
  };
  EXPECT_EQ(replayed(inverted, once->schedule), outcome::end::finished);
  EXPECT_EQ(replayed(other, once->schedule), outcome::end::replay_differs);
  EXPECT_EQ(replayed(inverted, "a"), outcome::end::replay_differs);
  EXPECT_EQ(replayed(inverted, "abc"), outcome::end::replay_differs);
  EXPECT_EQ(replayed(inverted, "nonsense!"), outcome::end::replay_differs);
  std::string forged = once->schedule.substr(0, once->schedule.find('#')) + "#1";
  EXPECT_EQ(replayed(inverted, forged), outcome::end::replay_differs);
}

TEST(FiberScheduler, FindsAReaderThatReadsAgainPastAWriter) {
  SKIP_WITHOUT_FIBERS();
  const program p = {[](things& t) NO_THREAD_SAFETY_ANALYSIS {
                       read_guard outer{t.rw};
                       read_guard inner{t.rw};
                     },
                     [](things& t) { guard g{t.rw}; }};
  EXPECT_TRUE(find(p, outcome::end::deadlock));
  EXPECT_TRUE(find(p, outcome::end::finished));
}

TEST(FiberScheduler, FindsADataRaceInWhateverOrder) {
  SKIP_WITHOUT_FIBERS();
  const program p = {[](things& t) { t.guarded = t.guarded + 1; },
                     [](things& t) {
                       guard g{t.a};
                       t.guarded = t.guarded + 1;
                     }};
  for (unsigned seed = 0; seed < 20; ++seed) {
    const outcome end = run(p, seed);
    EXPECT_EQ(end.how, outcome::end::failed);
    EXPECT_NE(end.what.find("data race on guarded"), std::string::npos) << end.what;
  }
}

TEST(FiberScheduler, ACellUnderItsLockIsNoRace) {
  SKIP_WITHOUT_FIBERS();
  const program p(3, [](things& t) {
    guard g{t.a};
    t.guarded = t.guarded + 1;
  });
  for (unsigned seed = 0; seed < 50; ++seed) {
    int counted = 0;
    const outcome end = run(p, seed, nullptr, [&](things& t) { counted = t.guarded; });
    EXPECT_EQ(end.how, outcome::end::finished) << end.what;
    EXPECT_EQ(counted, 3);
  }
}

TEST(FiberScheduler, LosesUpdatesOfAnAtomicThatIsReadAndThenWritten) {
  SKIP_WITHOUT_FIBERS();
  const program p(2, [](things& t) { t.shared = t.shared + 1; });
  std::set<int> results;
  for (unsigned seed = 0; seed < 50; ++seed)
    run(p, seed, nullptr, [&](things& t) { results.insert(t.shared); });
  EXPECT_EQ(results, (std::set<int>{1, 2}));
}

TEST(FiberScheduler, ACompletionAndAWaitQueueLoseNoWakeUp) {
  SKIP_WITHOUT_FIBERS();
  const program p = {[](things& t) {
                       t.done.wait();
                       t.queue.wait([&] { return t.shared == 1; });
                     },
                     [](things& t) {
                       t.done.complete();
                       t.shared = 1;
                       t.queue.wake_all();
                     }};
  EXPECT_FALSE(find(p, outcome::end::deadlock));
  EXPECT_TRUE(find(p, outcome::end::finished));
}

TEST(FiberScheduler, ATryThatFailedIsRepeatedWhenTheLockIsFree) {
  SKIP_WITHOUT_FIBERS();
  const program p(2, [](things& t) {
    while (!t.a.try_lock()) controlled->before_trying_again();
    t.shared = t.shared + 1;
    t.a.unlock();
  });
  for (unsigned seed = 0; seed < 50; ++seed) {
    const outcome end = run(p, seed);
    EXPECT_EQ(end.how, outcome::end::finished) << end.what;
  }
}

TEST(FiberScheduler, NamesTheRuleThatATaskBreaks) {
  SKIP_WITHOUT_FIBERS();
  const auto what = [](std::function<void(things&)> task) {
    return run({std::move(task)}, 0).what;
  };
  const auto leaves = [](things& t) NO_THREAD_SAFETY_ANALYSIS { t.a.lock(); };
  EXPECT_EQ(what(leaves), "task 0: ends while it holds something");
  const auto asserts = [](things& t) { t.a.assert_held(); };
  EXPECT_EQ(what(asserts), "task 0: lock must be held here");
  const auto unlocks = [](things& t) NO_THREAD_SAFETY_ANALYSIS { t.rw.unlock_shared(); };
  EXPECT_NE(what(unlocks).find("nobody reads: rw"), std::string::npos);
  const auto insists = [](things& t) {
    guard g{t.a};
    controlled->before_trying_again();
  };
  EXPECT_EQ(what(insists), "task 0: tries again while it holds something");
}

TEST(FiberScheduler, ATaskStartsAnother) {
  SKIP_WITHOUT_FIBERS();
  stack_pool stacks;
  fiber_scheduler scheduler{stacks};
  std::optional<things> t;
  int ran = 0;
  scheduler.outside([&] { t.emplace(); });
  scheduler.add_task("parent", [&] {
    t->guarded = 1;
    scheduler.add_task("child", [&] { ran = t->guarded; });  // ordered: no race
  });
  const outcome end = scheduler.random_walk(1);
  EXPECT_EQ(end.how, outcome::end::finished) << end.what;
  EXPECT_EQ(ran, 1);
  scheduler.outside([&] { t.reset(); });
}

TEST(FiberScheduler, TheValidatorSeesEachFiberAsATask) {
  SKIP_WITHOUT_FIBERS();
  const recorded_reports reports;
  const auto end = find(inverted, outcome::end::finished);
  ASSERT_TRUE(end);
  ASSERT_GE(reports.count(), 1U);  // the order is wrong also where nobody got stuck
  // The fibers' names, not the thread's.
  EXPECT_NE(to_text(reports.all().back(), report_format_6_1).find("task "),
            std::string::npos);
}

// --- stages --------------------------------------------------------------------------

outcome run_stages(const program& tasks, const std::vector<stage>& stages,
                   const std::function<void(const seen_step&)>& watch = nullptr) {
  stack_pool stacks;
  fiber_scheduler scheduler{stacks};
  std::optional<things> t;
  scheduler.outside([&] { t.emplace(); });
  for (const auto& task : tasks)
    scheduler.add_task("task " + std::to_string(&task - tasks.data()), [&] { task(*t); });
  scheduler.watch(watch);
  outcome end = scheduler.forced(stages);
  scheduler.watch(nullptr);
  scheduler.outside([&] { t.reset(); });
  return end;
}

TEST(FiberScheduler, StagesMakeAnInterleavingHappen) {
  SKIP_WITHOUT_FIBERS();
  EXPECT_EQ(run_stages(inverted, {{"task 0", {"b"}}, {"task 1"}}).how,
            outcome::end::deadlock);
  EXPECT_EQ(run_stages(inverted, {{"task 1", {"a"}}}).how, outcome::end::deadlock);
  EXPECT_EQ(run_stages(inverted, {{"task 0"}}).how, outcome::end::finished);
  EXPECT_EQ(run_stages(inverted, {{"task 0", {"nothing"}}}).how, outcome::end::finished);
}

TEST(FiberScheduler, AStagePassesALockAsOftenAsItIsTold) {
  SKIP_WITHOUT_FIBERS();
  const program p = {[](things& t) {
                       {
                         guard g{t.b};
                       }
                       both(t.a, t.b);
                     },
                     [](things& t) { both(t.b, t.a); }};
  EXPECT_EQ(run_stages(p, {{"task 0", {"b"}}, {"task 1"}}).how, outcome::end::finished);
  EXPECT_EQ(run_stages(p, {{"task 0", {"b"}, 1}, {"task 1"}}).how,
            outcome::end::deadlock);
}

TEST(FiberScheduler, ThoseWhoHangShowTheirStacksAndLocks) {
  SKIP_WITHOUT_FIBERS();
  const recorded_reports reports;
  const outcome end = run_stages(inverted, {{"task 0", {"b"}}, {"task 1"}});
  ASSERT_EQ(end.stuck.size(), 2U);
  for (const outcome::stuck_task& stuck : end.stuck) {
    EXPECT_FALSE(stuck.stack.empty());
    ASSERT_EQ(stuck.held.size(), 2U);  // what it has, and what it wants
    EXPECT_NE(stuck.held[0].lock.name, stuck.held[1].lock.name);
  }
}

TEST(FiberScheduler, EveryStepIsSeenByWhoWatches) {
  SKIP_WITHOUT_FIBERS();
  std::vector<std::string> seen;
  (void)run_stages({[](things& t) { both(t.a, t.b); }}, {}, [&](const seen_step& step) {
    seen.push_back(std::string{to_string(step.op)} + " " + std::string{step.name});
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"lock a", "lock b", "unlock b", "unlock a"}));
}

TEST(FiberSchedulerDeathTest, ATrackedOperationOutsideOfATaskAborts) {
  SKIP_WITHOUT_FIBERS();
  stack_pool stacks;
  fiber_scheduler scheduler{stacks};
  std::optional<things> t;
  scheduler.outside([&] { t.emplace(); });
  EXPECT_DEATH({ guard g{t->a}; }, "tracked operation outside of a task");
  scheduler.outside([&] { t.reset(); });
}

// lock_stat without the validator while it lives.
struct counted_locks {
  counted_locks() {
    lock_stat::reset();
    lockdep::set_lock_stat(true);
  }
  ~counted_locks() { lockdep::set_lock_stat(false); }
  static lock_class_stats of(const lock_class_key& key) {
    for (const lock_stat_row& row : lockdep::lock_stat_rows())
      if (row.lock.name == key.name) return row.stats;
    return {};
  }
};

// Steps, of a microsecond each: a starts and takes a (2), which b wants from (3) on; a
// takes and gives back b (5) and, told before the step, a; b has a (7) and gives it back
// (8).
TEST(FiberScheduler, LockStatCountsInVirtualTime) {
  SKIP_WITHOUT_FIBERS();
  const program p = {[](things& t) { both(t.a, t.b); }, [](things& t) { guard g{t.a}; }};
  for (int i = 0; i < 2; ++i) {
    const counted_locks counted;
    ASSERT_EQ(run(p, 0, "a2ba3b2").how, outcome::end::finished);
    const lock_class_stats a = counted_locks::of(key_a);
    EXPECT_EQ(a.write.wait.nr, 1U);
    EXPECT_EQ(a.write.wait.total_ns, 4000U);
    EXPECT_EQ(a.write.hold.nr, 2U);
    EXPECT_EQ(a.write.hold.max_ns, 3000U);
    EXPECT_EQ(a.write.contended_bounces, 1U);
    EXPECT_EQ(a.write.acquired_bounces, 1U);
    ASSERT_EQ(a.contention_points.size(), 1U);
    const lock_class_stats b = counted_locks::of(key_b);
    EXPECT_EQ(b.write.wait.nr, 0U);
    EXPECT_EQ(b.write.hold.nr, 1U);
    EXPECT_EQ(b.write.hold.total_ns, 0U);
  }
}

TEST(FiberScheduler, LockStatKnowsReadersAndWriters) {
  SKIP_WITHOUT_FIBERS();
  const program p = {[](things& t) { read_guard g{t.rw}; },
                     [](things& t) { guard g{t.rw}; }};
  const counted_locks counted;
  ASSERT_EQ(run(p, 0, "a2b2ab2").how, outcome::end::finished);
  const lock_class_stats rw = counted_locks::of(key_rw);
  EXPECT_EQ(rw.read.wait.nr, 0U);
  EXPECT_EQ(rw.read.hold.nr, 1U);
  EXPECT_EQ(rw.write.wait.nr, 1U);
  EXPECT_EQ(rw.write.hold.nr, 1U);
}

}  // namespace
}  // namespace memhp
