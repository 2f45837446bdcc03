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
#include <cstring>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

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
constexpr std::uint8_t threads = readers + writers;

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

struct store {
  std::uint8_t to, value;
};
struct thread_of {
  std::uint8_t pc = ended, reg = 0, note = 0, row = 0, buffered = 0;
  std::array<store, 4> buffer{};
};
struct moment {
  std::array<std::uint8_t, variables> memory{};
  std::uint8_t mutex = 0;  // 1 + the writer that has it
  std::array<thread_of, threads> threads_{};
};

constexpr const char* beside = "a writer beside a reader";
constexpr const char* too_long = "somebody sleeps and is not woken";

class shared_model {
 public:
  shared_model(gate open, letters on, std::uint8_t writing = 1) : open_{open}, on_{on} {
    now_.memory[state] = open;
    for (std::uint8_t t = 0; t < readers + writing; ++t)
      now_.threads_[t].pc = t < readers ? r_count : w_mutex;
  }

  std::set<std::string> explore() {
    std::set<std::string> wrong;
    std::vector<moment> todo{now_};
    remember();
    while (!todo.empty()) {
      const moment from = todo.back();
      todo.pop_back();
      bool moved = false;
      for (std::uint8_t t = 0; t < threads; ++t)
        for (const bool flush : {false, true}) {
          now_ = from;
          if (!(flush ? flush_one(now_.threads_[t]) : step(t))) continue;
          moved = true;
          if (is_broken()) wrong.insert(beside);
          if (remember()) todo.push_back(now_);
        }
      if (!moved && !all_ended(from)) wrong.insert(too_long);
    }
    return wrong;
  }
  std::size_t moments() const { return seen_.size(); }

 private:
  bool remember() {
    std::string bytes(sizeof now_, '\0');
    std::memcpy(bytes.data(), &now_, sizeof now_);
    return seen_.insert(std::move(bytes)).second;
  }
  static bool all_ended(const moment& m) {
    for (const thread_of& t : m.threads_)
      if (t.pc != ended) return false;
    return true;
  }
  bool is_broken() const {
    int inside_to_write = 0, inside_to_read = 0;
    for (const thread_of& t : now_.threads_) {
      inside_to_write += t.pc == w_inside;
      inside_to_read += t.pc == r_inside;
      // Let in, and asleep still.
      inside_to_read += t.pc == r_sleep && now_.memory[turn] != t.note;
    }
    return inside_to_write > 1 || (inside_to_write == 1 && inside_to_read != 0);
  }

  bool flush_one(thread_of& t) {
    if (t.buffered == 0) return false;
    now_.memory[t.buffer[0].to] = t.buffer[0].value;
    for (int i = 1; i < t.buffered; ++i) t.buffer[i - 1] = t.buffer[i];
    t.buffer[--t.buffered] = {};
    return true;
  }
  std::uint8_t load(const thread_of& t, int from) const {
    for (int i = t.buffered; i-- > 0;)
      if (t.buffer[i].to == from) return t.buffer[i].value;
    return now_.memory[from];
  }
  static bool put(thread_of& t, int to, int value) {
    if (t.buffered == t.buffer.size()) return false;
    t.buffer[t.buffered++] = {static_cast<std::uint8_t>(to),
                              static_cast<std::uint8_t>(value)};
    return true;
  }
  bool count(thread_of& t, int which) { return put(t, which, load(t, which) + 1); }
  static bool go(thread_of& t, at where) {
    t.pc = where;
    return true;
  }

  bool step(std::uint8_t me) {
    thread_of& t = now_.threads_[me];
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
      case r_fence: return (t.buffered == 0 || !on_.a_fence) && go(t, r_look_again);
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
          return put(t, waiting, load(t, waiting) + 1) && go(t, r_look_at_gate);
        }
        if (t.buffered != 0) return false;
        ++now_.memory[waiting];
        t.note = now_.memory[turn];
        return go(t, r_look_at_gate);
      case r_look_at_gate:
        if (!on_.f_looks || load(t, state) == blocked) return go(t, r_sleep);
        if (t.buffered != 0) return false;
        if (now_.memory[turn] != t.note) return go(t, r_inside);  // let in meanwhile
        --now_.memory[waiting];
        return go(t, r_count);
      case r_sleep:
        return t.buffered == 0 && now_.memory[turn] != t.note && go(t, r_inside);
      default: return false;
    }
  }

  bool leave_step(thread_of& t, std::uint8_t me) {
    switch (t.pc) {
      case r_inside: return go(t, r_leave);
      case r_leave: return count(t, released + me) && go(t, r_see);
      case r_see: return go(t, load(t, state) == idle ? ended : r_see_fence);
      case r_see_fence: return t.buffered == 0 && go(t, r_see_again);
      case r_see_again: return go(t, load(t, state) == blocked ? r_bump : ended);
      case r_bump: return bump(t, ended);
      default: return false;
    }
  }
  bool bump(thread_of& t, at then) {
    if (!on_.e_bumps) return go(t, then);
    if (t.buffered != 0) return false;
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
        if (t.buffered != 0) return false;
        now_.memory[state] = blocked;
        return go(t, w_barrier);
      case w_barrier:
        if (on_.b_barrier && open_ == idle)
          for (thread_of& other : now_.threads_)
            while (flush_one(other)) {
            }
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
        if (!on_.g_locked) return put(t, state, open_) && go(t, w_admit);
        if (t.buffered != 0) return false;
        now_.memory[state] = open_;
        return go(t, w_admit);
      case w_admit: {
        // The look at the queue; the exchange that follows is a locked instruction.
        if (load(t, waiting) == 0) return go(t, w_give_back);
        if (t.buffered != 0) return false;
        std::uint8_t& crowd = now_.memory[waiting];
        now_.memory[admitted] = static_cast<std::uint8_t>(now_.memory[admitted] + crowd);
        crowd = 0;
        now_.memory[turn] ^= 1;
        return go(t, w_give_back);
      }
      case w_give_back:
        if (t.buffered != 0) return false;
        now_.mutex = 0;
        return go(t, ended);
      default: return false;
    }
  }

  const gate open_;
  const letters on_;
  moment now_{};
  std::unordered_set<std::string> seen_;
};

TEST(SharedPercpuRwsemModel, NobodyIsBesideAWriterAndNobodySleepsTooLong) {
  for (const gate open : {idle, always_fenced}) {
    shared_model all{open, {}, writers};
    EXPECT_THAT(all.explore(), testing::IsEmpty()) << open;
    EXPECT_GT(all.moments(), 5000U);  // it did explore
  }
}
TEST(SharedPercpuRwsemModelWithout, TheReadersFenceAWriterIsBesideAReader) {
  EXPECT_THAT((shared_model{always_fenced, {.a_fence = false}}.explore()),
              testing::Contains(beside));
}
TEST(SharedPercpuRwsemModelWithout, TheWritersBarrierAWriterIsBesideAReader) {
  EXPECT_THAT((shared_model{idle, {.b_barrier = false}}.explore()),
              testing::Contains(beside));
}
TEST(SharedPercpuRwsemModelWithout, DrainReadBeforeTheRowsAWriterSleepsTooLong) {
  EXPECT_THAT((shared_model{idle, {.d_in_order = false}}.explore()),
              testing::Contains(too_long));
}
TEST(SharedPercpuRwsemModelWithout, TheChangeOfDrainAWriterSleepsTooLong) {
  EXPECT_THAT((shared_model{idle, {.e_bumps = false}}.explore()),
              testing::Contains(too_long));
}
TEST(SharedPercpuRwsemModelWithout, TheLockedCountOfWaitersAReaderSleepsTooLong) {
  EXPECT_THAT((shared_model{idle, {.f_locked = false}}.explore()),
              testing::Contains(too_long));
}
TEST(SharedPercpuRwsemModelWithout, TheLookAtTheGateAReaderSleepsTooLong) {
  EXPECT_THAT((shared_model{idle, {.f_looks = false}}.explore()),
              testing::Contains(too_long));
}
TEST(SharedPercpuRwsemModelWithout, TheLockedOpeningOfTheGateAReaderSleepsTooLong) {
  EXPECT_THAT((shared_model{idle, {.g_locked = false}}.explore()),
              testing::Contains(too_long));
}
TEST(SharedPercpuRwsemModelWithout, TheOrderOfAScanAWriterIsBesideAReader) {
  EXPECT_THAT((shared_model{idle, {.released_first = false}}.explore()),
              testing::Contains(beside));
}

}  // namespace
}  // namespace memhp
