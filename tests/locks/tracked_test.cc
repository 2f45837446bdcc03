#include "locks/tracked.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "locks/guards.h"
#include "tests/locks/recorded_reports.h"
#include "tests/locks/sleeper.h"

namespace memhp {
namespace {

constexpr lock_class_key some_key{"some_lock"};
constexpr lock_class_key other_key{"other_lock"};
constexpr lock_class_key percpu_key{.name = "percpu_lock", .wait_type = 0};
constexpr lock_class_key done_key{.name = "(done)", .wait_type = 0};

// Outside of the analysis, which cannot follow a broken rule.
template <class Lock>
void unlock_unheld(Lock& lock) NO_THREAD_SAFETY_ANALYSIS {
  lock.unlock();
}

TEST(TrackedMutex, KnowsItsHolder) {
  tracked_mutex m{some_key};
  EXPECT_FALSE(m.held_by_me());
  {
    guard hold{m};
    EXPECT_TRUE(m.held_by_me());
    m.assert_held();
    std::thread{[&] { EXPECT_FALSE(m.held_by_me()); }}.join();
  }
  EXPECT_FALSE(m.held_by_me());
}

TEST(TrackedMutex, TryLockFailsWhileAnotherThreadHoldsIt) {
  tracked_mutex m{some_key};
  const auto try_elsewhere = [&] {
    bool got = false;
    std::thread{[&] {
      if (!m.try_lock()) return;
      got = m.held_by_me();
      m.unlock();
    }}.join();
    return got;
  };
  {
    guard hold{m};
    EXPECT_FALSE(try_elsewhere());
  }
  EXPECT_TRUE(try_elsewhere());
}

// A listener hears of a lock before it is waited for: what makes an interleaving happen.
class recording_listener final : public lockdep::listener {
 public:
  recording_listener() { lockdep::set_listener(this); }
  ~recording_listener() { lockdep::set_listener(nullptr); }
  recording_listener(const recording_listener&) = delete;
  recording_listener& operator=(const recording_listener&) = delete;

  void before(const dep_map& map) override { heard += " " + std::string{map.name()}; }
  void failed(const dep_map&) override { heard += " failed"; }
  std::string heard;
};

TEST(TrackedLocks, TellAListenerBeforeTheyAreTakenOrTried) {
  for (const bool validated : {false, true}) {
    const recorded_reports reports;
    lockdep::set_on(validated);
    tracked_mutex m{some_key};
    tracked_rw_semaphore rw{other_key};
    recording_listener listener;
    for (int twice = 0; twice < 2; ++twice) {
      listener.heard.clear();
      {
        guard hold{m};
        EXPECT_EQ(listener.heard, " some_lock");
        std::thread{[&] { EXPECT_FALSE(m.try_lock()); }}.join();
        EXPECT_EQ(listener.heard, " some_lock some_lock failed");
        read_guard read{rw};
        if (rw.try_lock_shared()) rw.unlock_shared();
      }
      EXPECT_EQ(listener.heard, " some_lock some_lock failed other_lock other_lock");
    }
    EXPECT_EQ(reports.count(), 0U);
  }
}

TEST(TrackedLocks, TellNobodyOnceAListenerHasGone) {
  tracked_mutex m{some_key};
  std::string heard;
  {
    recording_listener listener;
    guard hold{m};
    heard = listener.heard;
  }
  EXPECT_EQ(heard, " some_lock");
  guard hold{m};
}

TEST(TrackedLocks, TellTheValidatorHowTheyAreTaken) {
  const recorded_reports reports;
  tracked_mutex m{some_key};
  tracked_rw_semaphore rw{other_key};
  tracked_percpu_rw_semaphore percpu{percpu_key};
  {
    guard first{m};
    read_guard second{rw};
    read_guard third{percpu};
    percpu.assert_held_read();
    const std::vector<reported_lock> held = lockdep::held_locks();
    ASSERT_EQ(held.size(), 3U);
    EXPECT_FALSE(held[0].read);
    EXPECT_TRUE(held[1].read);
    EXPECT_TRUE(held[2].read);
  }
  {
    guard first{percpu};
    percpu.assert_held_write();
    guard second{m};
  }
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_EQ(reports.last<circular_report>().wanted.lock.name, "some_lock");
  EXPECT_EQ(reports.last<circular_report>().blocking.lock.name, "percpu_lock");
}

// Where the innermost lock was taken, as a report says it after "at:".
std::string taken_at() {
  return symbolize(lockdep::held_locks().back().at);
}
[[gnu::noinline]] std::string takes_by_a_guard(tracked_mutex& m) {
  guard hold{m};
  return taken_at();
}
[[gnu::noinline]] std::string takes_by_a_read_guard(tracked_rw_semaphore& rw) {
  read_guard hold{rw};
  return taken_at();
}

TEST(TrackedLocks, AReportNamesWhoHoldsTheGuard) {
  const recorded_reports reports;
  tracked_mutex m{some_key};
  tracked_rw_semaphore rw{other_key};
  EXPECT_THAT(takes_by_a_guard(m), testing::HasSubstr("takes_by_a_guard"));
  EXPECT_THAT(takes_by_a_read_guard(rw), testing::HasSubstr("takes_by_a_read_guard"));
}

TEST(TrackedLocks, ATrylockLeadsNowhere) {
  const recorded_reports reports;
  tracked_mutex m{some_key};
  tracked_percpu_rw_semaphore percpu{percpu_key};
  {
    guard first{m};
    if (!percpu.try_lock_shared()) FAIL() << "nobody holds it";
    percpu.unlock_shared();
  }
  guard first{percpu};
  guard second{m};
  EXPECT_EQ(reports.count(), 0U);
}

TEST(TrackedLocks, TellLockStatOfWaitsAndHolds) {
  const recorded_reports reports;
  lock_stat::reset();
  lockdep::set_lock_stat(true);
  tracked_percpu_rw_semaphore percpu{percpu_key};
  tracked_mutex m{some_key};
  const auto figures = [](std::string_view name) {
    for (const lock_stat_row& row : lockdep::lock_stat_rows())
      if (row.lock.name == name) return row.stats;
    return lock_class_stats{};
  };
  std::thread waiting;
  {
    read_guard reading{percpu};
    guard holding{m};
    waiting = std::thread{[&] {
      {
        guard second{m};
      }
      guard first{percpu};
    }};
    // A contention is counted before the wait for it, so that it shows while it lasts.
    while (figures("some_lock").contention_points.empty()) std::this_thread::yield();
  }
  waiting.join();
  lockdep::set_lock_stat(false);
  EXPECT_EQ(figures("some_lock").write.wait.nr, 1U);
  EXPECT_EQ(figures("some_lock").write.hold.nr, 2U);
  EXPECT_EQ(figures("percpu_lock").read.hold.nr, 1U);
  EXPECT_EQ(figures("percpu_lock").write.hold.nr, 1U);
  EXPECT_EQ(figures("some_lock").contending_points.size(), 1U);
}

TEST(TrackedCompletion, WaitingUnderALockThatTheWorkTakesIsReported) {
  const recorded_reports reports;
  tracked_mutex m{some_key};
  tracked_completion done{done_key};
  std::thread{[&] {
    const tracked_completion::working_towards work{done};
    guard hold{m};
  }}.join();
  done.complete();
  guard hold{m};
  done.wait();  // a moment earlier it would have hung
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_EQ(reports.last<circular_report>().wanted.lock.name, "(done)");
}

TEST(TrackedPercpuRwSemaphore, AReaderIsOneAlsoWhileAWriterWaits) {
  ASSERT_FALSE(lockdep::on());  // it would know the reader by name
  tracked_percpu_rw_semaphore percpu{percpu_key};
  read_guard hold{percpu};
  sleeper writer{[&] { guard second{percpu}; }};
  EXPECT_TRUE(writer.falls_asleep());
  percpu.assert_held_read();  // aborts if it takes the hold for none
  percpu.unlock_shared();
  writer.join();
  percpu.lock_shared();
}

TEST(TrackedLocksDeathTest, BrokenRulesAbortWithTheName) {
  tracked_mutex m{some_key};
  EXPECT_DEATH(unlock_unheld(m), "unlock of a lock that is not held: some_lock");
  EXPECT_DEATH(m.assert_held(), "lock must be held here: some_lock");
  tracked_percpu_rw_semaphore percpu{percpu_key};
  EXPECT_DEATH(percpu.assert_held_write(), "held for writing here: percpu_lock");
  EXPECT_DEATH(percpu.assert_held_read(), "held for reading here: percpu_lock");
  EXPECT_DEATH(unlock_unheld(percpu), "percpu_lock");
  {
    guard hold{m};
    EXPECT_DEATH(std::thread{[&] { unlock_unheld(m); }}.join(), "some_lock");
  }
  read_guard hold{percpu};
  percpu.assert_held_read();
  EXPECT_DEATH(percpu.assert_held_write(), "percpu_lock");
}

}  // namespace
}  // namespace memhp
