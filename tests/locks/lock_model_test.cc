// The model of the locks against a naive one that keeps lists of who holds and waits, on
// random programs; and its rules one by one.
#include "locks/lock_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <vector>

namespace memhp {
namespace {

using enum lock_op;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr unsigned programs = 200;
#else
constexpr unsigned programs = 2'000;
#endif

TEST(LockModel, AnAnnouncedWriterStopsEvenWhoReadsAlready) {
  lock_state s{lock_kind::rw_semaphore};
  apply(s, {read_lock, 0});
  apply(s, {announce_write, 1});
  EXPECT_FALSE(enabled(s, {write_lock, 1}));
  EXPECT_FALSE(enabled(s, {read_lock, 0}));
  EXPECT_EQ(apply(s, {try_read_lock, 2}), 0U);
  apply(s, {read_unlock, 0});
  EXPECT_TRUE(enabled(s, {write_lock, 1}));
}

TEST(LockModel, ADrainWaitsForReferencesAndLetsNoNewOneIn) {
  lock_state s{lock_kind::active_reference};
  EXPECT_EQ(apply(s, {get_active, 0}), 1U);
  EXPECT_NE(broken_rule(s, {drain, 1}), nullptr);
  apply(s, {deactivate, 1});
  EXPECT_EQ(apply(s, {get_active, 2}), 0U);
  EXPECT_FALSE(enabled(s, {drain, 1}));
  apply(s, {put_active, 0});
  EXPECT_TRUE(enabled(s, {drain, 1}));
}

TEST(LockModel, AWakeUpBetweenPrepareAndSleepIsNotLost) {
  lock_state s{lock_kind::wait_queue};
  const std::uint32_t seen = apply(s, {prepare_to_wait, 0});
  EXPECT_FALSE(enabled(s, {sleep, 0, seen}));
  apply(s, {wake, 1});
  EXPECT_TRUE(enabled(s, {sleep, 0, seen}));
}

TEST(LockModel, WhoTriedInVainTriesAgainOnceTheLockWasGivenBack) {
  lock_state s{lock_kind::mutex};
  apply(s, {lock, 0});
  EXPECT_EQ(apply(s, {try_lock, 1}), 0U);
  const std::uint32_t failed_on = s.version;
  EXPECT_FALSE(enabled(s, {try_again, 1, failed_on}));
  apply(s, {unlock, 0});
  EXPECT_TRUE(enabled(s, {try_again, 1, failed_on}));
}

TEST(LockModel, NamesTheRuleThatAStepBreaks) {
  lock_state s{lock_kind::mutex};
  EXPECT_NE(broken_rule(s, {unlock, 0}), nullptr);
  EXPECT_NE(broken_rule(s, {read_lock, 0}), nullptr);  // of another kind
  apply(s, {lock, 0});
  EXPECT_NE(broken_rule(s, {unlock, 1}), nullptr);
  EXPECT_EQ(broken_rule(s, {unlock, 0}), nullptr);
}

// --- the naive model
// --------------------------------------------------------------------

struct naive_lock {
  std::vector<unsigned> readers;    // or who has an active reference
  std::vector<unsigned> announced;  // writers that wait
  std::optional<unsigned> writer;   // or who holds the mutex
  bool ended = false;
  unsigned completions = 0;
  std::vector<unsigned> events;  // everything that may wake somebody
};

void drop(std::vector<unsigned>& from, unsigned task) {
  from.erase(std::ranges::find(from, task));
}

bool may_enter(const naive_lock& n, const lock_step& step) {
  switch (step.op) {
    case lock: return !n.writer;
    case read_lock: return !n.writer && n.announced.empty();
    case write_lock: return !n.writer && n.readers.empty();
    case wait: return n.ended || n.completions > 0;
    case drain: return n.readers.empty();
    case sleep:
    case try_again: return n.events.size() > step.argument;
    default: return true;
  }
}

bool run_try(naive_lock& n, const lock_step& step) {
  switch (step.op) {
    case try_lock:
      if (n.writer) return false;
      n.writer = step.task;
      return true;
    case try_read_lock:
      if (n.writer || !n.announced.empty()) return false;
      n.readers.push_back(step.task);
      return true;
    case try_write_lock:
      if (n.writer || !n.announced.empty() || !n.readers.empty()) return false;
      n.writer = step.task;
      return true;
    case try_wait:
      if (!n.ended && n.completions == 0) return false;
      if (!n.ended) --n.completions;
      return true;
    default:  // get_active
      if (n.ended) return false;
      n.readers.push_back(step.task);
      return true;
  }
}

void run_release(naive_lock& n, const lock_step& step) {
  switch (step.op) {
    case unlock:
    case write_unlock: n.writer.reset(); break;
    case read_unlock:
    case put_active: drop(n.readers, step.task); break;
    case complete: ++n.completions; break;
    case complete_all:
    case deactivate: n.ended = true; break;
    default: break;  // wake
  }
  n.events.push_back(step.task);
}

unsigned run(naive_lock& n, const lock_step& step) {
  if (is_release(step.op)) {
    run_release(n, step);
    return 1;
  }
  switch (step.op) {
    case lock: n.writer = step.task; return 1;
    case read_lock: n.readers.push_back(step.task); return 1;
    case announce_write: n.announced.push_back(step.task); return 1;
    case write_lock:
      drop(n.announced, step.task);
      n.writer = step.task;
      return 1;
    case wait:
      if (!n.ended) --n.completions;
      return 1;
    case prepare_to_wait: return static_cast<unsigned>(n.events.size());
    case drain:
    case sleep:
    case try_again: return 1;
    default: return run_try(n, step) ? 1 : 0;
  }
}

// --- random programs
// --------------------------------------------------------------------

// A task that uses one object in legal ways: what it may do next follows from what it
// did last.
class random_task {
 public:
  random_task(unsigned number, lock_kind kind) : number_{number}, kind_{kind} {}

  lock_step next(std::mt19937& random, const lock_state& seen) {
    const auto pick = [&](std::initializer_list<lock_op> from) {
      return from.begin()[random() % from.size()];
    };
    std::uint32_t argument = 0;
    lock_op op{};
    if (follow_up_) {
      op = *follow_up_;
      argument = argument_;
    } else {
      switch (kind_) {
        case lock_kind::mutex: op = pick({lock, try_lock}); break;
        case lock_kind::rw_semaphore:
          op = pick({read_lock, try_read_lock, announce_write, try_write_lock});
          break;
        case lock_kind::completion:
          op = random() % 40 == 0 ? complete_all : pick({wait, try_wait, complete});
          break;
        case lock_kind::active_reference:
          op = seen.closed || random() % 20 == 0 ? deactivate : get_active;
          break;
        default: op = pick({prepare_to_wait, wake}); break;
      }
    }
    return {op, number_, argument};
  }

  void did(const lock_step& step, std::uint32_t result, const lock_state& after) {
    follow_up_.reset();
    argument_ = result;
    switch (step.op) {
      case lock: follow_up_ = unlock; break;
      case read_lock: follow_up_ = read_unlock; break;
      case announce_write: follow_up_ = write_lock; break;
      case write_lock: follow_up_ = write_unlock; break;
      case deactivate: follow_up_ = drain; break;
      case prepare_to_wait: follow_up_ = sleep; break;
      case try_lock: after_try(result, unlock, after); break;
      case try_read_lock: after_try(result, read_unlock, after); break;
      case try_write_lock: after_try(result, write_unlock, after); break;
      case get_active:
        if (result != 0) follow_up_ = put_active;
        break;
      default: break;
    }
  }

 private:
  void after_try(std::uint32_t result, lock_op release, const lock_state& after) {
    follow_up_ = result != 0 ? release : try_again;
    if (result == 0) argument_ = after.version;
  }

  const unsigned number_;
  const lock_kind kind_;
  std::optional<lock_op> follow_up_;
  std::uint32_t argument_ = 0;
};

struct program {
  lock_state state;
  naive_lock naive;
  std::vector<random_task> tasks;
  std::vector<std::optional<lock_step>> waits;
};

// One step of a random task, in both models.
void step_both(program& p, std::mt19937& random) {
  const std::size_t who = random() % p.tasks.size();
  if (!p.waits[who]) p.waits[who] = p.tasks[who].next(random, p.state);
  const lock_step step = *p.waits[who];
  ASSERT_EQ(broken_rule(p.state, step), nullptr) << to_string(step.op);
  ASSERT_EQ(enabled(p.state, step), may_enter(p.naive, step)) << to_string(step.op);
  if (!enabled(p.state, step)) return;
  const std::uint32_t result = apply(p.state, step);
  ASSERT_EQ(result, run(p.naive, step)) << to_string(step.op);
  p.waits[who].reset();
  p.tasks[who].did(step, result, p.state);
}

TEST(LockModel, AgreesWithListsOfHoldersAndWaitersOnRandomPrograms) {
  for (unsigned seed = 0; seed < programs; ++seed) {
    std::mt19937 random{seed};
    const auto kind = static_cast<lock_kind>(random() % 5);
    program p{.state = {kind}};
    for (unsigned i = 0; i < 2 + seed % 4; ++i) p.tasks.emplace_back(i, kind);
    p.waits.resize(p.tasks.size());
    for (unsigned i = 0; i < 300; ++i) {
      ASSERT_NO_FATAL_FAILURE(step_both(p, random)) << "seed " << seed;
    }
    ASSERT_EQ(p.state.owner, p.naive.writer ? *p.naive.writer + 1 : 0) << "seed " << seed;
  }
}

}  // namespace
}  // namespace memhp
