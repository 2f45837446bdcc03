#include "locks/tracked.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <initializer_list>
#include <optional>
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

template <class Lock>
void expect_tries_to_fail_beside_others() {
  const recorded_reports reports;
  Lock lock{some_key};
  const auto try_elsewhere = [&] {
    bool got = false;
    std::thread{[&] {
      if (!lock.try_lock()) return;
      got = true;
      lock.assert_held_write();
      lock.unlock();
    }}.join();
    return got;
  };
  {
    guard hold{lock};
    EXPECT_FALSE(try_elsewhere());
  }
  {
    read_guard hold{lock};
    EXPECT_FALSE(try_elsewhere());
  }
  EXPECT_TRUE(try_elsewhere());
  {
    const std::unique_lock hold{lock, std::try_to_lock};
    EXPECT_TRUE(hold.owns_lock());
    lock.assert_held_write();
  }
  EXPECT_EQ(reports.count(), 0U);
}

TEST(TrackedLocks, OfReadersAndAWriterAreTriedToWriteAsWell) {
  expect_tries_to_fail_beside_others<tracked_rw_semaphore>();
  expect_tries_to_fail_beside_others<tracked_percpu_rw_semaphore>();
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

// --- broken rules with the validator on -----------------------------------------------

// One way of holding each lock, and giving it back.
template <class Lock, const lock_class_key& Key>
struct held_to_write {
  using lock_type = Lock;
  static constexpr auto& key = Key;
  [[gnu::always_inline]] static void take(Lock& l) NO_THREAD_SAFETY_ANALYSIS { l.lock(); }
  [[gnu::always_inline]] static void give(Lock& l) NO_THREAD_SAFETY_ANALYSIS {
    l.unlock();
  }
};
template <class Lock, const lock_class_key& Key>
struct held_to_read {
  using lock_type = Lock;
  static constexpr auto& key = Key;
  [[gnu::always_inline]] static void take(Lock& l) NO_THREAD_SAFETY_ANALYSIS {
    l.lock_shared();
  }
  [[gnu::always_inline]] static void give(Lock& l) NO_THREAD_SAFETY_ANALYSIS {
    l.unlock_shared();
  }
};

template <class Way>
class BrokenRulesDeathTest : public testing::Test {
 protected:
  using lock_type = typename Way::lock_type;

  BrokenRulesDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }

  // Their names are what a report must say.
  [[gnu::noinline]] static void who_takes_it(lock_type& l) {
    Way::take(l);
    asm volatile("");
  }
  [[gnu::noinline]] static void who_unlocks_it(lock_type& l) { Way::give(l); }
  [[gnu::noinline]] static void who_destroys_it(std::optional<lock_type>& l) {
    l.reset();
    asm volatile("");
  }
  // Has the lock taken by a thread of the name "holder", which lives on.
  static void taken_elsewhere(lock_type& l) {
    std::atomic<bool> taken = false;
    std::thread{[&] {
      pthread_setname_np(pthread_self(), "holder");
      who_takes_it(l);
      taken = true;
      for (;;) pause();
    }}.detach();
    while (!taken) std::this_thread::yield();
  }
  // Regular expressions for texts that follow one another.
  static std::string in_this_order(std::initializer_list<std::string> parts) {
    std::string all;
    for (const std::string& part : parts) all += (all.empty() ? "" : "(.|\n)*") + part;
    return all;
  }
};

using ways_to_hold =
    testing::Types<held_to_write<tracked_mutex, some_key>,
                   held_to_write<tracked_rw_semaphore, other_key>,
                   held_to_read<tracked_rw_semaphore, other_key>,
                   held_to_write<tracked_percpu_rw_semaphore, percpu_key>,
                   held_to_read<tracked_percpu_rw_semaphore, percpu_key>>;
TYPED_TEST_SUITE(BrokenRulesDeathTest, ways_to_hold);

TYPED_TEST(BrokenRulesDeathTest, UnlockOfAnothersHoldNamesTheHolderAndBothPlaces) {
  const auto break_it = [this] {
    lockdep::set_on(true);
    typename TestFixture::lock_type l{TypeParam::key};
    this->taken_elsewhere(l);
    this->who_unlocks_it(l);
  };
  EXPECT_DEATH(break_it(), this->in_this_order(
                               {"bad unlock balance detected",
                                "trying to release lock \\(" +
                                    std::string{TypeParam::key.name} + "\\) at",
                                "who_unlocks_it", "the lock is held by holder/",
                                std::string{TypeParam::key.name}, "at: ", "who_takes_it",
                                "stack backtrace", "who_unlocks_it"}));
}

TYPED_TEST(BrokenRulesDeathTest, UnlockOfWhatNobodyHoldsNamesThePlace) {
  const auto break_it = [this] {
    lockdep::set_on(true);
    typename TestFixture::lock_type l{TypeParam::key};
    this->who_unlocks_it(l);
  };
  EXPECT_DEATH(break_it(),
               this->in_this_order({"bad unlock balance detected",
                                    std::string{TypeParam::key.name}, "who_unlocks_it"}));
}

TYPED_TEST(BrokenRulesDeathTest, DestructionNamesTheLockAndBothPlaces) {
  const auto break_it = [this] {
    lockdep::set_on(true);
    std::optional<typename TestFixture::lock_type> l{std::in_place, TypeParam::key};
    this->who_takes_it(*l);
    this->who_destroys_it(l);
  };
  EXPECT_DEATH(break_it(),
               this->in_this_order({"held lock freed", std::string{TypeParam::key.name},
                                    "at: ", "who_takes_it", "stack backtrace",
                                    "who_destroys_it"}));
}

TYPED_TEST(BrokenRulesDeathTest, DestructionUnderAnotherNamesTheHolder) {
  const auto break_it = [this] {
    lockdep::set_on(true);
    std::optional<typename TestFixture::lock_type> l{std::in_place, TypeParam::key};
    this->taken_elsewhere(*l);
    this->who_destroys_it(l);
  };
  EXPECT_DEATH(
      break_it(),
      this->in_this_order({"held lock freed", std::string{TypeParam::key.name},
                           "who_takes_it", "is held by holder/", "who_destroys_it"}));
}

TYPED_TEST(BrokenRulesDeathTest, ArePassedOverIfSoAsked) {
  const recorded_reports reports;
  {
    std::optional<typename TestFixture::lock_type> l{std::in_place, TypeParam::key};
    this->who_unlocks_it(*l);
    ASSERT_EQ(reports.count(), 1U);
    EXPECT_TRUE(reports.template last_is<bad_unlock_report>());
    this->who_takes_it(*l);
    this->who_unlocks_it(*l);
    this->who_takes_it(*l);
    this->who_destroys_it(l);
  }
  ASSERT_EQ(reports.count(), 2U);
  EXPECT_TRUE(reports.template last_is<held_destroyed_report>());
}

TEST(TrackedLocks, AnothersHoldOutlastsABadUnlock) {
  const recorded_reports reports;
  tracked_mutex m{some_key};
  guard hold{m};
  std::thread{[&] { unlock_unheld(m); }}.join();
  ASSERT_EQ(reports.count(), 1U);
  EXPECT_TRUE(reports.last<bad_unlock_report>().held_as);
  EXPECT_TRUE(m.held_by_me());
}

TEST(TrackedLocks, AFailedAssertionIsSaidOnceForEachPlace) {
  const recorded_reports reports;
  tracked_mutex m{some_key};
  tracked_percpu_rw_semaphore percpu{percpu_key};
  for (int twice = 0; twice < 2; ++twice) {
    m.assert_held();
    percpu.assert_held_write();
    percpu.assert_held_read();
  }
  ASSERT_EQ(reports.count(), 3U);
  const auto last = reports.last<assert_report>();
  EXPECT_THAT(last.file, testing::HasSubstr("tracked_test.cc"));
  EXPECT_THAT(symbolize(last.at), testing::HasSubstr("TestBody"));
}

}  // namespace
}  // namespace memhp
