// shared_percpu_rw_semaphore explored exhaustively on a machine that reorders as x86 does
// (TSO): every thread has a store buffer, its stores reach memory later, in order; a
// locked instruction or a fence waits until it is empty, the barrier of all CPUs empties
// all.
//
// Two readers of one process and one or two writers. The letters of
// shared_percpu_rwsem.cc are switches: with all on no writer is inside beside a reader,
// and nobody sleeps for longer than it takes those before it; with one off, one does. (A
// writer that was not woken looks again after probe_interval, so it loses time there and
// not everything.) C orders what TSO orders by itself: no test on x86 can miss it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <set>
#include <string>

#include "tests/locks/exhaustive_model.h"

namespace memhp {
namespace {

struct letters {
  bool a_fence = true;     // a reader that always fences, between its count and its look
  bool b_barrier = true;   // a writer of an expedited lock, behind the closed gate
  bool d_in_order = true;  // a writer reads drain_, then the rows
  bool e_bumps = true;     // who leaves changes drain_
  bool f_locked = true;    // who waits says so with a locked instruction
  bool f_looks = true;     // and looks at the gate afterwards
  bool g_locked = true;    // a writer opens the gate with a locked instruction
  bool released_first = true;  // rule 2: the order of a scan
};

enum gate : std::uint8_t { idle, always_fenced, blocked };
constexpr std::uint8_t readers = 2;
constexpr std::uint8_t writers = 2;

enum variable : std::uint8_t {
  state,
  drain,
  waiting,  // slot::queue in its three parts; they change together
  admitted,
  turn,
  acquired,
  released = acquired + readers,
  variables = released + readers
};

enum at : std::uint8_t {
  r_count,
  r_look,
  r_fence,
  r_look_again,
  r_back_out,
  r_back_out_bump,
  r_say_waiting,
  r_say_waiting_later,
  r_look_at_gate,
  r_sleep,
  r_inside,
  r_leave,
  r_see,
  r_see_fence,
  r_see_again,
  r_bump,
  w_mutex,
  w_close,
  w_barrier,
  w_note,
  w_scan,
  w_judge,
  w_note_late,
  w_sleep,
  w_inside,
  w_open,
  w_admit,
  w_give_back,
  ended
};

struct thread_of {
  std::uint8_t pc = ended, reg = 0, note = 0, row = 0;
  store_buffer buffer;
};
struct moment {
  std::array<std::uint8_t, variables> memory{};
  std::uint8_t mutex = 0;  // 1 + the writer that has it
  std::array<thread_of, readers + writers> threads{};
};

constexpr const char* beside = "a writer beside a reader";
constexpr const char* too_long = "somebody sleeps and is not woken";

class shared_model final : public exhaustive_model<moment> {
 public:
  shared_model(gate open, letters on, std::uint8_t writing = 1) : open_{open}, on_{on} {
    now_.memory[state] = open;
    for (std::uint8_t t = 0; t < readers + writing; ++t)
      now_.threads[t].pc = t < readers ? r_count : w_mutex;
  }

 private:
  bool all_ended() const override {
    for (const thread_of& t : now_.threads)
      if (t.pc != ended) return false;
    return true;
  }
  const char* broken() const override {
    int inside_to_write = 0, inside_to_read = 0;
    for (const thread_of& t : now_.threads) {
      inside_to_write += t.pc == w_inside;
      inside_to_read += t.pc == r_inside;
      // Let in, and asleep still.
      inside_to_read += t.pc == r_sleep && now_.memory[turn] != t.note;
    }
    const bool is_broken =
        inside_to_write > 1 || (inside_to_write == 1 && inside_to_read != 0);
    return is_broken ? beside : nullptr;
  }

  std::uint8_t load(const thread_of& t, int from) const {
    return t.buffer.load(now_.memory, from);
  }
  bool count(thread_of& t, int which) { return t.buffer.put(which, load(t, which) + 1); }
  static bool go(thread_of& t, at where) {
    t.pc = where;
    return true;
  }

  bool step(std::size_t which, bool flush) override {
    const auto me = static_cast<std::uint8_t>(which);
    thread_of& t = now_.threads[me];
    if (flush) return t.buffer.flush_one(now_.memory);
    if (t.pc >= w_mutex) return write_step(t, me);
    return t.pc < r_back_out ? enter_step(t, me)
           : t.pc < r_inside ? wait_step(t, me)
                             : leave_step(t, me);
  }

  // lock_shared(), until the gate is found closed.
  bool enter_step(thread_of& t, std::uint8_t me) {
    switch (t.pc) {
      case r_count: return count(t, acquired + me) && go(t, r_look);
      case r_look: return go(t, load(t, state) == idle ? r_inside : r_fence);
      case r_fence: return (t.buffer.is_empty() || !on_.a_fence) && go(t, r_look_again);
      case r_look_again: return go(t, load(t, state) != blocked ? r_inside : r_back_out);
      default: return false;
    }
  }

  // Counts out, and wait_for_admission().
  bool wait_step(thread_of& t, std::uint8_t me) {
    switch (t.pc) {
      case r_back_out: return count(t, released + me) && go(t, r_back_out_bump);
      case r_back_out_bump: return bump(t, r_say_waiting);
      case r_say_waiting:
        if (!on_.f_locked) {
          t.note = load(t, turn);
          return t.buffer.put(waiting, load(t, waiting) + 1) && go(t, r_look_at_gate);
        }
        if (!t.buffer.is_empty()) return false;
        ++now_.memory[waiting];
        t.note = now_.memory[turn];
        return go(t, r_look_at_gate);
      case r_look_at_gate:
        if (!on_.f_looks || load(t, state) == blocked) return go(t, r_sleep);
        if (!t.buffer.is_empty()) return false;
        if (now_.memory[turn] != t.note) return go(t, r_inside);  // let in meanwhile
        --now_.memory[waiting];
        return go(t, r_count);
      case r_sleep:
        return t.buffer.is_empty() && now_.memory[turn] != t.note && go(t, r_inside);
      default: return false;
    }
  }

  bool leave_step(thread_of& t, std::uint8_t me) {
    switch (t.pc) {
      case r_inside: return go(t, r_leave);
      case r_leave: return count(t, released + me) && go(t, r_see);
      case r_see: return go(t, load(t, state) == idle ? ended : r_see_fence);
      case r_see_fence: return t.buffer.is_empty() && go(t, r_see_again);
      case r_see_again: return go(t, load(t, state) == blocked ? r_bump : ended);
      case r_bump: return bump(t, ended);
      default: return false;
    }
  }
  bool bump(thread_of& t, at then) {
    if (!on_.e_bumps) return go(t, then);
    if (!t.buffer.is_empty()) return false;
    ++now_.memory[drain];
    return go(t, then);
  }

  bool write_step(thread_of& t, std::uint8_t me) {
    switch (t.pc) {
      case w_mutex:
        if (now_.mutex != 0) return false;
        now_.mutex = me + 1;
        return go(t, w_close);
      case w_close:
        if (!t.buffer.is_empty()) return false;
        now_.memory[state] = blocked;
        return go(t, w_barrier);
      case w_barrier:
        if (on_.b_barrier && open_ == idle)
          for (thread_of& other : now_.threads) other.buffer.flush(now_.memory);
        t.row = t.reg = 0;
        return go(t, on_.d_in_order ? w_note : w_scan);
      case w_note:
        t.note = load(t, drain);
        t.row = t.reg = 0;
        return go(t, w_scan);
      case w_scan: return scan(t);
      case w_judge:
        if (t.reg == 0) return go(t, w_inside);
        return go(t, on_.d_in_order ? w_sleep : w_note_late);
      case w_note_late: t.note = load(t, drain); return go(t, w_sleep);
      case w_sleep:  // futex_wait() refuses another value, and who changes it wakes
        t.row = t.reg = 0;
        return now_.memory[drain] != t.note && go(t, on_.d_in_order ? w_note : w_scan);
      default: return open_step(t);
    }
  }
  // holds(), a counter a step; the row of `admitted` is the last of `acquired`.
  bool scan(thread_of& t) {
    const bool of_released = (t.row < readers) == on_.released_first;
    const int row = t.row % readers;
    t.reg = static_cast<std::uint8_t>(of_released ? t.reg - load(t, released + row)
                                                  : t.reg + load(t, acquired + row));
    if (!of_released && row == readers - 1)
      t.reg = static_cast<std::uint8_t>(t.reg + load(t, admitted));
    if (++t.row < 2 * readers) return true;
    return go(t, w_judge);
  }
  bool open_step(thread_of& t) {
    switch (t.pc) {
      case w_inside: return go(t, w_open);
      case w_open:
        if (!on_.g_locked) return t.buffer.put(state, open_) && go(t, w_admit);
        if (!t.buffer.is_empty()) return false;
        now_.memory[state] = open_;
        return go(t, w_admit);
      case w_admit: {
        // The look at the queue; the exchange that follows is a locked instruction.
        if (load(t, waiting) == 0) return go(t, w_give_back);
        if (!t.buffer.is_empty()) return false;
        std::uint8_t& crowd = now_.memory[waiting];
        now_.memory[admitted] = static_cast<std::uint8_t>(now_.memory[admitted] + crowd);
        crowd = 0;
        now_.memory[turn] ^= 1;
        return go(t, w_give_back);
      }
      case w_give_back:
        if (!t.buffer.is_empty()) return false;
        now_.mutex = 0;
        return go(t, ended);
      default: return false;
    }
  }

  const gate open_;
  const letters on_;
};

TEST(SharedPercpuRwsemModel, NobodyIsBesideAWriterAndNobodySleepsTooLong) {
  for (const gate open : {idle, always_fenced}) {
    shared_model all{open, {}, writers};
    EXPECT_THAT(all.explore(too_long), testing::IsEmpty()) << open;
    EXPECT_GT(all.moments(), 5000U);  // it did explore
  }
}
TEST(SharedPercpuRwsemModelWithout, TheReadersFenceAWriterIsBesideAReader) {
  EXPECT_THAT((shared_model{always_fenced, {.a_fence = false}}.explore(too_long)),
              testing::Contains(beside));
}
TEST(SharedPercpuRwsemModelWithout, TheWritersBarrierAWriterIsBesideAReader) {
  EXPECT_THAT((shared_model{idle, {.b_barrier = false}}.explore(too_long)),
              testing::Contains(beside));
}
TEST(SharedPercpuRwsemModelWithout, DrainReadBeforeTheRowsAWriterSleepsTooLong) {
  EXPECT_THAT((shared_model{idle, {.d_in_order = false}}.explore(too_long)),
              testing::Contains(too_long));
}
TEST(SharedPercpuRwsemModelWithout, TheChangeOfDrainAWriterSleepsTooLong) {
  EXPECT_THAT((shared_model{idle, {.e_bumps = false}}.explore(too_long)),
              testing::Contains(too_long));
}
TEST(SharedPercpuRwsemModelWithout, TheLockedCountOfWaitersAReaderSleepsTooLong) {
  EXPECT_THAT((shared_model{idle, {.f_locked = false}}.explore(too_long)),
              testing::Contains(too_long));
}
TEST(SharedPercpuRwsemModelWithout, TheLookAtTheGateAReaderSleepsTooLong) {
  EXPECT_THAT((shared_model{idle, {.f_looks = false}}.explore(too_long)),
              testing::Contains(too_long));
}
TEST(SharedPercpuRwsemModelWithout, TheLockedOpeningOfTheGateAReaderSleepsTooLong) {
  EXPECT_THAT((shared_model{idle, {.g_locked = false}}.explore(too_long)),
              testing::Contains(too_long));
}
TEST(SharedPercpuRwsemModelWithout, TheOrderOfAScanAWriterIsBesideAReader) {
  EXPECT_THAT((shared_model{idle, {.released_first = false}}.explore(too_long)),
              testing::Contains(beside));
}

}  // namespace
}  // namespace memhp
