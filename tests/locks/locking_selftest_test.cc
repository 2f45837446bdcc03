// The cases of the kernel's locking selftest (lib/locking-selftest.c) for locks that are
// taken in process context, as tables: a program and whether it is reported.
//
// A program is a list of steps: "w", "r" and "R" take a lock to write, to read and to
// read recursively, "t" and "T" try it to write and to read, "s" takes it with subclass
// 1, "n" under the nest lock N, "u" gives it back, "i" initializes it anew. "/" parts the
// programs of several tasks, which run one after the other. Locks of class V are not
// validated. A program runs on what the validator knows of a lock, or on tracked locks.
//
// What a case is called there, a row is called here. These families have no counterpart:
//   * usage in hard and soft interrupts (irqsafe, irq_inversion, irq_read_recursion, the
//     inversion of queued reads, "hardirq unsafe, softirq safe"), and local_lock, whose
//     cases are about that usage: nothing interrupts a thread here, so no lock has it;
//   * wait contexts, and what PREEMPT_RT makes of them: nothing here runs where it could
//     not sleep, and wait types are printed, never checked;
//   * rt_mutex: there is none, and to the validator it would be a mutex;
//   * ww_mutex: no lock here backs off. What its cases try of nest locks is below;
//   * fs_reclaim: no lock known to the validator is taken for an allocation;
//   * the name that lockdep_set_subclass() leaves alone: a subclass is chosen each time a
//     lock is taken. Names of classes are tested in lock_class_test.cc.
// To the validator a spinlock is a mutex, and an rwlock an rwsem whose reads recurse as
// the selftest has them do, so that each program is here once for all of these.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>

#include "locks/thread_annotations.h"
#include "locks/tracked.h"
#include "tests/locks/recorded_reports.h"

namespace memhp {
namespace {

using enum read_kind;

constexpr std::array<lock_class_key, 4> keys = {
    {{.name = "A"}, {.name = "B"}, {.name = "C"}, {.name = "D"}}};
constexpr lock_class_key nest_key{.name = "N"};
constexpr lock_class_key unchecked_key{.name = "V", .validation = lock_validation::off};

// "1" is a second lock of class A, "2" of class B and so on.
std::size_t class_index(char name) {
  return static_cast<std::size_t>(name < 'A' ? name - '1' : name - 'A');
}

// Locks as the validator sees them, and nothing behind them.
class validated_locks {
 public:
  void step(char what, char name) {
    switch (what) {
      case 'w': return lockdep::acquire(lock(name), {.read = write});
      case 'r': return lockdep::acquire(lock(name), {.read = read});
      case 'R': return lockdep::acquire(lock(name), {.read = recursive_read});
      case 't': return lockdep::acquire(lock(name), {.read = write, .trylock = true});
      case 'T': return lockdep::acquire(lock(name), {.read = read, .trylock = true});
      case 's': return lockdep::acquire(lock(name), {.subclass = 1});
      case 'n': return lockdep::acquire(lock(name), {.nest = &lock('N')});
      case 'u': lockdep::release(lock(name)); return;
      case 'i': locks_.erase(name); return;
      default: FAIL() << "no step " << what;
    }
  }

 private:
  dep_map& lock(char name) {
    auto& made = locks_[name];
    if (!made)
      made = std::make_unique<dep_map>(name == 'N'   ? nest_key
                                       : name == 'V' ? unchecked_key
                                                     : keys[class_index(name)]);
    return *made;
  }

  std::map<char, std::unique_ptr<dep_map>> locks_;
};

// A tracked lock of some type.
class tracked_lock {
 public:
  virtual ~tracked_lock() = default;
  virtual bool take(char way) = 0;  // false: tried in vain
  virtual void give_back(char way) = 0;
};

// Outside of the analysis, which cannot follow a lock that is taken in one function and
// given back in another.
template <class Lock>
class tracked_lock_of final : public tracked_lock {
 public:
  explicit tracked_lock_of(const lock_class_key& key) : lock_{key} {}

  bool take(char way) override NO_THREAD_SAFETY_ANALYSIS {
    if (way == 'w') {
      lock_.lock();
      return true;
    }
    if constexpr (requires { lock_.try_lock(); })
      if (way == 't') return lock_.try_lock();
    if constexpr (requires { lock_.lock_shared(); }) {
      if (way == 'T') return lock_.try_lock_shared();
      if (way == 'r') {
        lock_.lock_shared();
        return true;
      }
    }
    ADD_FAILURE() << "cannot be taken as " << way;
    return false;
  }
  void give_back(char way) override NO_THREAD_SAFETY_ANALYSIS {
    if constexpr (requires { lock_.unlock_shared(); })
      if (way == 'r' || way == 'T') return lock_.unlock_shared();
    lock_.unlock();
  }

 private:
  Lock lock_;
};

// What each type of lock has: 'm' is a mutex, 's' an rw_semaphore, 'p' a
// percpu_rw_semaphore.
std::string ways_to_take(char type) {
  return type == 'm' ? "wt" : "wtrT";
}

std::unique_ptr<tracked_lock> make_tracked(char type, const lock_class_key& key) {
  switch (type) {
    case 'm': return std::make_unique<tracked_lock_of<tracked_mutex>>(key);
    case 's': return std::make_unique<tracked_lock_of<tracked_rw_semaphore>>(key);
    default: return std::make_unique<tracked_lock_of<tracked_percpu_rw_semaphore>>(key);
  }
}

// The locks themselves. A program must not wait in earnest: only one thread runs it.
class tracked_locks {
 public:
  // `types`: of class A, of class B and so on.
  explicit tracked_locks(std::string types) : types_{std::move(types)} {}

  void step(char what, char name) {
    if (what == 'i') {
      locks_.erase(name);
      return;
    }
    used_lock& used = lock(name);
    if (what == 'u') {
      used.lock->give_back(used.taken.back());
      if (used.taken.size() != 1) used.taken.pop_back();
    } else if (used.lock->take(what)) {
      used.taken += what;
    } else {
      vain_ += std::string{what} + name;
    }
  }
  // The steps that did not get their lock.
  const std::string& vain() const { return vain_; }

 private:
  struct used_lock {
    std::unique_ptr<tracked_lock> lock;
    std::string taken;  // in which ways; the first one stays, for one unlock too many
  };

  used_lock& lock(char name) {
    used_lock& used = locks_[name];
    const std::size_t cls = class_index(name);
    if (!used.lock) used.lock = make_tracked(types_.at(cls), keys[cls]);
    return used;
  }

  const std::string types_;
  std::string vain_;
  std::map<char, used_lock> locks_;
};

template <class Locks>
void run(const std::string& program, Locks& locks) {
  std::istringstream steps{program};
  for (std::string step; steps >> step;)
    if (step != "/") locks.step(step[0], step[1]);
}

bool reported(const std::string& program) {
  const recorded_reports reports;
  {
    validated_locks locks;
    run(program, locks);
  }
  return reports.count() != 0;
}

bool reported_of(const std::string& types, const std::string& program) {
  const recorded_reports reports;
  {
    tracked_locks locks{types};
    run(program, locks);
    EXPECT_EQ(locks.vain(), "") << program;
  }
  return reports.count() != 0;
}

// --- one way of taking all locks ------------------------------------------------------

struct pattern {
  const char* name;
  const char* program;  // "?" is the way
};
constexpr std::array patterns = {
    pattern{"AA", "?A ?A uA uA"},
    pattern{"AAOfTwoLocks", "?A ?1 u1 uA"},
    pattern{"ABBA", "?A ?B uB uA / ?B ?A uA uB"},
    pattern{"ABBCCA", "?A ?B uB uA / ?B ?C uC uB / ?C ?A uA uC"},
    pattern{"ABCABC", "?A ?B uB uA / ?C ?A uA uC / ?B ?C uC uB"},
    pattern{"ABBCCDDA", "?A ?B uB uA / ?B ?C uC uB / ?C ?D uD uC / ?D ?A uA uD"},
    pattern{"ABCDBDDA", "?A ?B uB uA / ?C ?D uD uC / ?B ?D uD uB / ?D ?A uA uD"},
    pattern{"ABCDBCDA", "?A ?B uB uA / ?C ?D uD uC / ?B ?C uC uB / ?D ?A uA uD"},
};

std::string with_way(std::string program, char way) {
  std::ranges::replace(program, '?', way);
  return program;
}

class EveryLock : public testing::TestWithParam<pattern> {
 protected:
  static std::string taken_as(char way) { return with_way(GetParam().program, way); }
};

TEST_P(EveryLock, ToWriteReports) {
  EXPECT_TRUE(reported(taken_as('w')));
}
TEST_P(EveryLock, ToReadReports) {
  EXPECT_TRUE(reported(taken_as('r')));
}
TEST_P(EveryLock, ToReadRecursivelyDoesNotReport) {
  EXPECT_FALSE(reported(taken_as('R')));
}
TEST_P(EveryLock, TriedToWriteDoesNotReport) {
  EXPECT_FALSE(reported(taken_as('t')));
}
TEST_P(EveryLock, TriedToReadDoesNotReport) {
  EXPECT_FALSE(reported(taken_as('T')));
}
INSTANTIATE_TEST_SUITE_P(Pattern, EveryLock, testing::ValuesIn(patterns),
                         [](const auto& of) { return of.param.name; });

// --- every mixture of ways ------------------------------------------------------------

// Who holds it this way keeps away who wants it that way; readers keep plain readers away
// because a writer may wait between the two (lockdep-design.rst, "Block condition
// matrix").
bool blocks(char held, char wanted) {
  return held == 'w' || wanted != 'R';
}

constexpr std::array ways = {'w', 'r', 'R'};

class MixedWays : public testing::TestWithParam<char> {};

TEST_P(MixedWays, OnOneLockReportUnlessAReadRecursInARead) {
  for (const char second : ways) {
    const std::string program = std::string{GetParam()} + "A " + second + "A uA uA";
    const bool in_order = second == 'R' && GetParam() != 'w';
    EXPECT_EQ(reported(program), !in_order) << program;
  }
}

TEST_P(MixedWays, GivenBackTwiceOrInitializedWhileHeldReport) {
  EXPECT_TRUE(reported(with_way("?A uA uA", GetParam())));
  EXPECT_TRUE(reported(with_way("?A iA", GetParam())));
  EXPECT_FALSE(reported(with_way("?A uA iA ?A uA", GetParam())));
}

TEST_P(MixedWays, InAbbaReportIfBothBlock) {
  const char a1 = GetParam();
  for (const char b1 : ways)
    for (const char b2 : ways)
      for (const char a2 : ways) {
        const std::string program =
            std::string{a1} + "A " + b1 + "B uB uA / " + b2 + "B " + a2 + "A uA uB";
        EXPECT_EQ(reported(program), blocks(b2, b1) && blocks(a1, a2)) << program;
      }
}

TEST_P(MixedWays, InAbbccaReportIfAllThreeBlock) {
  const char a1 = GetParam();
  for (const char b1 : ways)
    for (const char b2 : ways)
      for (const char c2 : ways)
        for (const char c3 : ways)
          for (const char a3 : ways) {
            const std::string program = std::string{a1} + "A " + b1 + "B uB uA / " + b2 +
                                        "B " + c2 + "C uC uB / " + c3 + "C " + a3 +
                                        "A uA uC";
            const bool deadlock = blocks(b2, b1) && blocks(c3, c2) && blocks(a1, a3);
            EXPECT_EQ(reported(program), deadlock) << program;
          }
}
INSTANTIATE_TEST_SUITE_P(FirstTaken, MixedWays, testing::ValuesIn(ways),
                         [](const auto& of) { return std::string{of.param}; });

// --- single cases ---------------------------------------------------------------------

struct single_case {
  const char* name;
  const char* program;
  bool reports;
};
// By its name: GoogleTest would print its bytes, and not all of them are ever written.
void PrintTo(const single_case& of, std::ostream* out) {
  *out << of.name;
}

class Program : public testing::TestWithParam<single_case> {};

TEST_P(Program, IsReportedOrNot) {
  EXPECT_EQ(reported(GetParam().program), GetParam().reports) << GetParam().program;
}
INSTANTIATE_TEST_SUITE_P(
    Selftest, Program,
    testing::Values(
        single_case{"UnlockInBadOrderOfThree", "wA wB wC uA uC uB", false},
        single_case{"UnlockInBadOrderAndReadMix", "rA wB RC uA uC uB", false},
        single_case{"NestedSubclass", "wA s1 u1 uA", false},
        single_case{"NestedSubclassBothWays", "wA s1 u1 uA / sA w1 u1 uA", true},
        single_case{"NestedSubclassTwice", "wA s1 s1 u1 u1 uA", true},
        single_case{"NestLock", "wN nA n1 u1 uA uN", false},
        single_case{"NestLockWithALockBetween", "wN nA wB n1 uB u1 uA uN", false},
        single_case{"NestLockTakenLate", "wN nA n1 u1 uA wB uB uN / wB wN uN uB", true},
        single_case{"NestLockNotHeld", "nA uA", true},
        single_case{"NotValidatedTwice", "wV wV uV uV", false},
        single_case{"NotValidatedBothWays", "wV wA uA uV / wA wV uV uA", false},
        single_case{"NotValidatedInBetween", "wA wV wB uB uV uA / wB wV wA uA uV uB",
                    true},
        // A read that does not recurse behind a reader: a writer may wait between them.
        single_case{"QueuedReadBehindRecursive", "RA rA uA uA", true},
        single_case{"QueuedReadThenRecursive", "rA RA uA uA", false},
        single_case{"QueuedReadInversionOtherOrder", "wB rA uA uB / RA wB uB uA", true},
        single_case{"QueuedReadOfThree", "RA wB uB uA / wB RC uC uB / wC rA uA uC", true},
        single_case{"QueuedRecursiveOfThree", "RA wB uB uA / wB rC uC uB / wC RA uA uC",
                    false},
        single_case{"RlockAA1", "RA RA uA uA", false},
        single_case{"RlockAA1B", "RA R1 u1 uA", false},
        single_case{"RlockAA2", "RA w1 u1 uA", true},
        single_case{"RlockAA3", "wA R1 u1 uA", true},
        single_case{"RlockABBA1", "RA wB uB uA / wB wA uA uB", true},
        single_case{"RlockABBA2", "RA wB uB uA / wB RA uA uB", false},
        single_case{"RlockABBA3", "wA wB uB uA / wB wA uA uB", true},
        // A nesting that was in order as a read must not hide it as a write.
        single_case{"RlockChaincacheABBA1", "RA wB uB uA / wB RA uA uB / wB wA uA uB",
                    true},
        single_case{"RsemAA1", "rA rA uA uA", true},
        single_case{"RsemAA1B", "rA r1 u1 uA", true},
        single_case{"RsemAA2", "rA w1 u1 uA", true},
        single_case{"RsemAA3", "wA r1 u1 uA", true},
        single_case{"RwsemABBA1", "rA wB uB uA / wB wA uA uB", true},
        single_case{"RwsemABBA2", "rA wB uB uA / wB rA uA uB", true},
        single_case{"QueuedReadLockREEr", "RA wB uB uA / wB rA uA uB", true},
        single_case{"QueuedReadLockERrE", "wB RA uA uB / rA wB uB uA", false},
        single_case{"BelowARecursiveRead", "wA RB wC uC uB uA / wC wA uA uC", true},
        single_case{"TryOfAHeldLock", "wA tA uA uA", false},
        single_case{"TryUnderTry", "tA tB uB uA / tB tA uA uB", false},
        single_case{"TryBothFirst", "tA wB uB uA / tB wA uA uB", true},
        single_case{"UnlockOfAnother", "wA uB uA", true},
        single_case{"UnlockInTheOrderOfTaking", "wA wB uA uB", false},
        single_case{"UnlockOfTheMiddle", "wA wB wC uB uC uA", false},
        single_case{"OrderAfterUnlockOfTheMiddle", "wA wB wC uB uC uA / wC wA uA uC",
                    true},
        single_case{"RecursiveReadUnderWrite", "wA RA uA uA", true},
        single_case{"WriteUnderRecursiveRead", "RA wA uA uA", true},
        single_case{"TryUnderRead", "rA tA uA uA", false},
        single_case{"TrylockedFirst", "tA wB uB uA / wB wA uA uB", true},
        single_case{"TriedSecond", "wA tB uB uA / wB wA uA uB", false},
        single_case{"ReadTriedFirst", "TA wB uB uA / wB wA uA uB", true},
        single_case{"ReadTriedFirstReadAgain", "TA wB uB uA / wB RA uA uB", false},
        // A nesting seen as a read says nothing of the same nesting as a write.
        single_case{"ChainCachedMixedReadAndWrite",
                    "wA RB uB uA / RB RA uA uB / wA RB uB uA / RB wA uA uB", false},
        single_case{"ChainCachedMixedWriteAndRead",
                    "RA RB uB uA / RB RA uA uB / wA wB uB uA / RB wA uA uB", true},
        single_case{"R1W2_R2W3_R3W1", "rA wB uB uA / rB wC uC uB / rC wA uA uC", true},
        single_case{"SameOrderTwice", "wA wB uB uA / wA wB uB uA", false},
        single_case{"ThroughAThirdTask", "wA wC uC uA / wC wB uB uC / wB wA uA uB", true},
        single_case{"SideBranchOnly", "wA wB uB uA / wA wC uC uA / wB wC uC uB", false}),
    [](const auto& of) { return of.param.name; });

// --- three nestings in every order ----------------------------------------------------

struct three_nestings {
  const char* name;
  std::array<const char*, 3> nestings;
  bool reports;
};
// By its name, for the same reason.
void PrintTo(const three_nestings& of, std::ostream* out) {
  *out << of.name;
}

class ThreeNestings : public testing::TestWithParam<three_nestings> {};

TEST_P(ThreeNestings, AreReportedOrNotInEveryOrder) {
  std::array order = {0U, 1U, 2U};
  do {
    std::string program;
    for (const unsigned next : order) program += GetParam().nestings[next];
    EXPECT_EQ(reported(program), GetParam().reports) << program;
  } while (std::ranges::next_permutation(order).found);
}
// In the kernel's file the last two have each other's bodies; their verdict is the same.
INSTANTIATE_TEST_SUITE_P(
    Selftest, ThreeNestings,
    testing::Values(
        three_nestings{
            "W1R2_W2R3_W3R1", {"wA RB uB uA ", "wB RC uC uB ", "wC RA uA uC "}, true},
        three_nestings{
            "W1W2_R2R3_W3R1", {"wA wB uB uA ", "RB RC uC uB ", "wC RA uA uC "}, true},
        three_nestings{
            "W1W2_R2R3_R3W1", {"wA wB uB uA ", "RB RC uC uB ", "RC wA uA uC "}, false},
        three_nestings{
            "W1R2_R2R3_W3W1", {"wA RB uB uA ", "RB RC uC uB ", "wC wA uA uC "}, false}),
    [](const auto& of) { return of.param.name; });

// --- tracked locks --------------------------------------------------------------------

// A pattern with all locks of one type, taken in one way. Not the first
// pattern: who takes one lock twice really would wait.
class EveryTrackedLock : public testing::TestWithParam<pattern> {
 protected:
  static bool reported_when(char type, char way) {
    return reported_of(std::string(keys.size(), type), with_way(GetParam().program, way));
  }
};

TEST_P(EveryTrackedLock, ThatWaitsReports) {
  EXPECT_TRUE(reported_when('m', 'w'));
  for (const char type : {'s', 'p'})
    for (const char way : {'w', 'r'})
      EXPECT_TRUE(reported_when(type, way)) << type << way;
}
TEST_P(EveryTrackedLock, ThatIsTriedDoesNotReport) {
  EXPECT_FALSE(reported_when('m', 't'));
  for (const char type : {'s', 'p'}) EXPECT_FALSE(reported_when(type, 'T')) << type;
}
INSTANTIATE_TEST_SUITE_P(Pattern, EveryTrackedLock,
                         testing::ValuesIn(patterns.begin() + 1, patterns.end()),
                         [](const auto& of) { return of.param.name; });

// Nothing leads to a lock that is tried, but a lock that was taken by a trylock keeps
// away as any. None of them reads recursively, and so every way that waits can be kept
// waiting by every way to hold.
bool waits(char way) {
  return way == 'w' || way == 'r';
}

// Locks of these types, of class A, B and C. The same program must be judged alike for
// what the validator knows of a lock.
class MixedTrackedLocks : public testing::TestWithParam<const char*> {
 protected:
  static std::string ways(char cls) { return ways_to_take(GetParam()[class_index(cls)]); }
  static void expect_judged(const std::string& program, bool reports) {
    EXPECT_EQ(reported_of(GetParam(), program), reports) << program;
    EXPECT_EQ(reported(program), reports) << program;
  }
};

std::string nesting(char outer_way, char outer, char inner_way, char inner) {
  return std::string{outer_way, outer, ' ', inner_way, inner} + " u" + inner + " u" +
         outer + " ";
}

TEST_P(MixedTrackedLocks, TwoOfAClassReportIfTheSecondWaits) {
  for (const char first : ways('A'))
    for (const char second : ways('A'))
      expect_judged(nesting(first, 'A', second, '1'), waits(second));
}

TEST_P(MixedTrackedLocks, InAbbaReportIfBothWait) {
  for (const char a1 : ways('A'))
    for (const char b1 : ways('B'))
      for (const char b2 : ways('B'))
        for (const char a2 : ways('A'))
          expect_judged(nesting(a1, 'A', b1, 'B') + nesting(b2, 'B', a2, 'A'),
                        waits(b1) && waits(a2));
}

TEST_P(MixedTrackedLocks, InAbbccaReportIfAllThreeWait) {
  for (const char a1 : ways('A'))
    for (const char b1 : ways('B'))
      for (const char b2 : ways('B'))
        for (const char c2 : ways('C'))
          for (const char c3 : ways('C'))
            for (const char a3 : ways('A'))
              expect_judged(nesting(a1, 'A', b1, 'B') + nesting(b2, 'B', c2, 'C') +
                                nesting(c3, 'C', a3, 'A'),
                            waits(b1) && waits(c2) && waits(a3));
}
INSTANTIATE_TEST_SUITE_P(OfTypes, MixedTrackedLocks,
                         testing::Values("mmm", "sss", "ppp", "msp", "spm"),
                         [](const auto& of) { return std::string{of.param}; });

struct tracked_case {
  const char* name;
  const char* types;
  const char* program;
  bool reports;
};
// By its name, for the same reason.
void PrintTo(const tracked_case& of, std::ostream* out) {
  *out << of.name;
}

class TrackedProgram : public testing::TestWithParam<tracked_case> {};

TEST_P(TrackedProgram, IsReportedOrNot) {
  const tracked_case& of = GetParam();
  EXPECT_EQ(reported_of(of.types, of.program), of.reports) << of.program;
}
INSTANTIATE_TEST_SUITE_P(
    Selftest, TrackedProgram,
    testing::Values(
        tracked_case{"RsemAA1", "s", "rA rA uA uA", true},
        tracked_case{"RsemAA1B", "s", "rA r1 u1 uA", true},
        tracked_case{"RsemAA2", "s", "rA w1 u1 uA", true},
        tracked_case{"RsemAA3", "s", "wA r1 u1 uA", true},
        tracked_case{"RwsemABBA1", "sm", "rA wB uB uA / wB wA uA uB", true},
        tracked_case{"RwsemABBA2", "sm", "rA wB uB uA / wB rA uA uB", true},
        tracked_case{"RwsemABBA3", "sm", "wA wB uB uA / wB wA uA uB", true},
        tracked_case{"DoubleUnlockMutex", "m", "wA uA uA", true},
        tracked_case{"DoubleUnlockWsem", "s", "wA uA uA", true},
        tracked_case{"DoubleUnlockRsem", "s", "rA uA uA", true},
        tracked_case{"DoubleUnlockPercpuWrite", "p", "wA uA uA", true},
        tracked_case{"DoubleUnlockPercpuRead", "p", "rA uA uA", true},
        tracked_case{"InitHeldMutex", "m", "wA iA", true},
        tracked_case{"InitHeldWsem", "s", "wA iA", true},
        tracked_case{"InitHeldRsem", "s", "rA iA", true},
        tracked_case{"InitHeldPercpuWrite", "p", "wA iA", true},
        tracked_case{"InitHeldPercpuRead", "p", "rA iA", true},
        tracked_case{"TriedSecond", "ms", "wA TB uB uA / wB wA uA uB", false},
        tracked_case{"TriedFirst", "ms", "tA wB uB uA / wB wA uA uB", true},
        tracked_case{"ReadTriedFirst", "sm", "TA wB uB uA / wB rA uA uB", true},
        tracked_case{"TriedBetween", "mms", "wA tB wC uC uB uA / wC wA uA uC", true},
        tracked_case{"TriedLast", "mms", "wA wB TC uC uB uA / wC wA uA uC", false},
        tracked_case{"ReadAndTriedAgain", "s", "rA TA uA uA", false},
        tracked_case{"PercpuReadAndTriedAgain", "p", "rA TA uA uA", false}),
    [](const auto& of) { return of.param.name; });

// The AA that a trylock makes of one lock.
TEST(TrackedTrylock, OfALockThatOneHoldsFailsAndIsNotReported) {
  struct attempt {
    const char* types;
    const char* program;
    const char* vain;
  };
  for (const attempt& of : {attempt{"m", "wA tA", "tA"}, attempt{"m", "tA tA", "tA"},
                            attempt{"s", "wA TA", "TA"}, attempt{"p", "wA TA", "TA"}}) {
    const recorded_reports reports;
    tracked_locks locks{of.types};
    run(of.program, locks);
    EXPECT_EQ(locks.vain(), of.vain) << of.program;
    EXPECT_EQ(lockdep::held_locks().size(), 1U) << of.program;
    run("uA", locks);
    EXPECT_EQ(reports.count(), 0U) << of.program;
  }
}

}  // namespace
}  // namespace memhp
