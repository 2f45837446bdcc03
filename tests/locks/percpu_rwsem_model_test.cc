// The fast path of percpu_rw_semaphore and its writer, explored exhaustively on a machine
// that reorders as x86 does (TSO): every thread has a store buffer, its stores reach
// memory later, in order; a fence waits until it is empty, membarrier empties all.
//
// Every lettered barrier of percpu_rwsem.h that orders a store before a load is a switch
// here. With all on, no interleaving lets a writer in beside a reader or leaves anybody
// asleep; with any one off, one does. C and D, E and F, K and L order what TSO orders by
// itself: no test on x86 can miss them; they are acquire and release for the compiler and
// for other machines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <set>
#include <string>

#include "tests/locks/exhaustive_model.h"

namespace memhp {
namespace {

struct barriers {
  bool a_fence = true;       // reader of a fenced lock, between its count and its look
  bool b_membarrier = true;  // writer that found the lock idle
  bool g_fence = true;       // reader that unlocks, symmetric lock
  bool g_wake_fence =
      true;  // reader that saw the gate closed, before it looks who sleeps
  bool h_membarrier = true;    // writer of a fenced lock, before it sleeps, asymmetric
  bool h_fence = true;         // writer, between saying that it sleeps and its last scan
  bool released_first = true;  // invariant 2: the order of the scan
};

enum lock_state : std::uint8_t { idle, fenced, blocked };

constexpr int max_readers = 2;
enum variable : std::uint8_t {
  state,
  sleeps,
  acquired,
  released = acquired + max_readers
};
constexpr int variables = released + max_readers;

struct thread_of {
  std::uint8_t pc = 0, reg = 0, sum = 0, row = 0;
  store_buffer buffer;
};
// All that distinguishes one moment from another; compared and hashed as bytes.
struct moment {
  std::array<std::uint8_t, variables> memory{};
  std::array<thread_of, max_readers + 1> threads{};  // the last one writes
  bool asleep = false;
};

enum reader_at : std::uint8_t {
  r_count,
  r_look,
  r_fence,
  r_look_again,
  r_inside,
  r_leave,
  r_see,
  r_leave_fence,
  r_see_again,
  r_wake_fence,
  r_wake,
  r_back_out,
  r_back_out_fence,
  r_back_out_wake,
  r_end
};
enum writer_at : std::uint8_t {
  w_block,
  w_barrier,
  w_scan,
  w_scan_more,
  w_judge,
  w_sleep_barrier,
  w_say,
  w_say_fence,
  w_scan_last,
  w_scan_last_more,
  w_judge_last,
  w_sleep,
  w_inside,
  w_end
};

constexpr const char* beside = "a writer beside a reader";
constexpr const char* for_ever = "somebody sleeps for ever";

class model final : public exhaustive_model<moment> {
 public:
  model(int readers, bool asymmetric, lock_state start, barriers on)
      : readers_{readers}, asymmetric_{asymmetric}, on_{on} {
    now_.memory[state] = start;
    for (int i = readers; i < max_readers; ++i) now_.threads[reader(i)].pc = r_end;
  }

 private:
  static std::size_t reader(int i) { return static_cast<std::size_t>(i); }
  static constexpr std::size_t writer = max_readers;

  const char* broken() const override {
    if (now_.threads[writer].pc != w_inside) return nullptr;
    for (int i = 0; i < readers_; ++i)
      if (now_.threads[reader(i)].pc == r_inside) return beside;
    return nullptr;
  }
  bool all_ended() const override {
    for (std::size_t t = 0; t < writer; ++t)
      if (now_.threads[t].pc != r_end) return false;
    return now_.threads[writer].pc == w_end;
  }

  std::uint8_t load(const thread_of& t, int from) const {
    return t.buffer.load(now_.memory, from);
  }
  void flush_all() {
    for (thread_of& t : now_.threads) t.buffer.flush(now_.memory);
  }
  // A fence, or a locked instruction: not before the buffer is empty.
  static bool may_pass(const thread_of& t, bool fence) {
    return !fence || t.buffer.is_empty();
  }

  bool step(std::size_t t, bool flush) override {
    if (flush) return now_.threads[t].buffer.flush_one(now_.memory);
    return t == writer ? write_step(now_.threads[t])
                       : read_step(now_.threads[t], static_cast<int>(t));
  }

  bool read_step(thread_of& t, int row) {
    switch (t.pc) {
      case r_count:
        if (!t.buffer.put(acquired + row, 1)) return false;
        break;
      case r_look: t.pc = load(t, state) == idle ? r_inside : r_fence; return true;
      case r_fence:
        if (!may_pass(t, on_.a_fence)) return false;
        break;
      case r_look_again:
        t.pc = load(t, state) == blocked ? r_back_out : r_inside;
        return true;
      case r_inside: break;
      case r_leave:
        if (!t.buffer.put(released + row, 1)) return false;
        break;
      case r_see: t.pc = load(t, state) == idle ? r_end : r_leave_fence; return true;
      case r_leave_fence:
        if (!may_pass(t, !asymmetric_ && on_.g_fence)) return false;
        break;
      case r_see_again:
        t.pc = load(t, state) == blocked ? r_wake_fence : r_end;
        return true;
      case r_wake_fence:
        if (!may_pass(t, on_.g_wake_fence)) return false;
        break;
      case r_wake:
      case r_back_out_wake:
        if (!wake_sleeper(t)) return false;
        t.pc = r_end;
        return true;
      case r_back_out:
        if (!t.buffer.put(released + row, 1)) return false;
        break;
      case r_back_out_fence:
        if (!may_pass(t, on_.g_wake_fence)) return false;
        break;
      default: return false;
    }
    ++t.pc;
    return true;
  }

  bool wake_sleeper(const thread_of& t) {
    if (load(t, sleeps) == 0) return true;
    if (!t.buffer.is_empty()) return false;  // an exchange
    if (now_.memory[sleeps] != 0) now_.asleep = false;
    now_.memory[sleeps] = 0;
    return true;
  }

  // Adds up one counter a step, so that others come in between.
  bool scan_step(thread_of& t, bool first_half) {
    const bool released_now = first_half == on_.released_first;
    if (first_half && t.row == 0) t.sum = 0;
    const int from = (released_now ? released : acquired) + t.row;
    t.sum = static_cast<std::uint8_t>(t.sum + (released_now ? -1 : 1) * load(t, from));
    if (++t.row < readers_) return true;
    t.row = 0;
    ++t.pc;
    return true;
  }

  bool write_step(thread_of& t) {
    switch (t.pc) {
      case w_block:
        if (!t.buffer.is_empty()) return false;
        t.reg = now_.memory[state];
        now_.memory[state] = blocked;
        break;
      case w_barrier:
        if (t.reg == idle && on_.b_membarrier) flush_all();
        break;
      case w_scan: return scan_step(t, true);
      case w_scan_more: return scan_step(t, false);
      case w_judge: t.pc = t.sum == 0 ? w_inside : w_sleep_barrier; return true;
      case w_sleep_barrier:
        if (t.reg == fenced && asymmetric_ && on_.h_membarrier) flush_all();
        break;
      case w_say:
        if (!t.buffer.put(sleeps, 1)) return false;
        break;
      case w_say_fence:
        if (!may_pass(t, on_.h_fence)) return false;
        break;
      case w_scan_last: return scan_step(t, true);
      case w_scan_last_more: return scan_step(t, false);
      case w_judge_last: t.pc = t.sum == 0 ? w_inside : w_sleep; return true;
      case w_sleep: return sleep_step(t);
      case w_inside: break;
      default: return false;
    }
    ++t.pc;
    return true;
  }

  // futex(2) compares and queues in one step, after a barrier of its own.
  bool sleep_step(thread_of& t) {
    if (!t.buffer.is_empty() || now_.asleep) return false;
    if (now_.memory[sleeps] == 1 && t.sum != 0) {
      now_.asleep = true;
      t.sum = 0;  // has slept; goes on when woken
      return true;
    }
    t.pc = w_say;
    return true;
  }

  const int readers_;
  const bool asymmetric_;
  const barriers on_;
};

struct setting {
  const char* name;
  int readers;
  bool asymmetric;
  lock_state start;
};
constexpr std::array settings = {
    setting{"OneReaderOfAnIdleLock", 1, true, idle},
    setting{"TwoReadersOfAnIdleLock", 2, true, idle},
    setting{"OneReaderOfAFencedLock", 1, true, fenced},
    setting{"TwoReadersOfAFencedLock", 2, true, fenced},
    setting{"OneReaderWithoutMembarrier", 1, false, fenced},
    setting{"TwoReadersWithoutMembarrier", 2, false, fenced},
};

class PercpuRwsemModel : public testing::TestWithParam<setting> {};

TEST_P(PercpuRwsemModel, HasNoBadInterleaving) {
  const auto& [name, readers, asymmetric, start] = GetParam();
  model all{readers, asymmetric, start, {}};
  EXPECT_THAT(all.explore(for_ever), testing::IsEmpty());
  EXPECT_GT(all.moments(), 100U);  // it did explore
}
INSTANTIATE_TEST_SUITE_P(Of, PercpuRwsemModel, testing::ValuesIn(settings),
                         [](const auto& of) { return of.param.name; });

std::set<std::string> found_without(bool barriers::* which, const setting& in) {
  barriers on;
  on.*which = false;
  return model{in.readers, in.asymmetric, in.start, on}.explore(for_ever);
}

TEST(PercpuRwsemModelWithout, TheFenceOfAReaderAWriterComesIn) {
  EXPECT_THAT(found_without(&barriers::a_fence, settings[2]), testing::Contains(beside));
}
TEST(PercpuRwsemModelWithout, TheBarrierOfAWriterItComesIn) {
  EXPECT_THAT(found_without(&barriers::b_membarrier, settings[0]),
              testing::Contains(beside));
}
TEST(PercpuRwsemModelWithout, TheFenceOfAnUnlockTheWriterSleepsForEver) {
  EXPECT_THAT(found_without(&barriers::g_fence, settings[4]),
              testing::Contains(for_ever));
}
TEST(PercpuRwsemModelWithout, TheFenceBeforeTheWakeUpTheWriterSleepsForEver) {
  EXPECT_THAT(found_without(&barriers::g_wake_fence, settings[0]),
              testing::Contains(for_ever));
}
TEST(PercpuRwsemModelWithout, TheBarrierBeforeItSleepsTheWriterSleepsForEver) {
  EXPECT_THAT(found_without(&barriers::h_membarrier, settings[2]),
              testing::Contains(for_ever));
}
TEST(PercpuRwsemModelWithout, TheFenceBeforeItsLastLookTheWriterSleepsForEver) {
  EXPECT_THAT(found_without(&barriers::h_fence, settings[0]),
              testing::Contains(for_ever));
}
TEST(PercpuRwsemModelWithout, TheOrderOfTheScanAWriterComesIn) {
  EXPECT_THAT(found_without(&barriers::released_first, settings[1]),
              testing::Contains(beside));
}

}  // namespace
}  // namespace memhp
