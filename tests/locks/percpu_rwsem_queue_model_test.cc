// The queue of percpu_rw_semaphore, explored exhaustively on a machine that reorders as
// x86 does (TSO), beside the model of the fast path (percpu_rwsem_model_test.cc): one
// holds the lock to write and unlocks it, others find the gate closed, watch it for some
// looks, once, and queue.
//
// Barriers I and J of percpu_rwsem.cc are switches here: each is the locked instruction
// with which one side stores before it looks at what the other side stored. With both on
// nobody sleeps at an open gate and nobody comes in beside another; with either off, one
// does sleep. So is the second look, which I is for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <set>
#include <string>

#include "tests/locks/exhaustive_model.h"

namespace memhp {
namespace {

struct switches {
  bool i_exchange = true;   // unlock() opens the gate with a locked instruction
  bool j_fetch_add = true;  // who queues says so with a locked instruction
  bool look_again = true;   // unlock() looks for waiters after the gate is open
};

constexpr std::size_t writers = 3;  // the first holds the lock at the start
// gate_opens_soon() takes 64; what a look can find, two can find one after the other.
constexpr std::uint8_t gate_looks = 2;

enum at : std::uint8_t {
  block,        // closes the gate if it is open
  watch_queue,  // gate_opens_soon(): not past those who queue
  watch_gate,
  take_queue,  // enqueue_or_go_on()
  say_waiting,
  read_waiting,  // of a fetch_add that is not one
  look_at_gate,
  not_waiting,
  wait,
  inside,
  peek_waiters,  // unlock()
  open_gate,
  peek_again,
  block_again,
  take_to_serve,  // serve_queue()
  serve,
  ended
};

enum variable : std::uint8_t { gate_closed, waiters, variables };

struct thread_of {
  std::uint8_t pc = block, reg = 0, looks = gate_looks;
  store_buffer buffer;
};
struct moment {
  std::array<std::uint8_t, variables> memory{};
  std::uint8_t queue_lock = 0;  // 1 + who has it
  std::uint8_t queued = 0;
  std::array<std::uint8_t, writers> queue{};
  std::array<std::uint8_t, writers> granted{};
  std::array<thread_of, writers> threads{};
};

constexpr const char* beside = "two writers";
constexpr const char* for_ever = "somebody sleeps for ever";

class queue_model final : public exhaustive_model<moment> {
 public:
  explicit queue_model(switches on) : on_{on} {
    now_.memory[gate_closed] = 1;
    now_.threads[0].pc = inside;
  }

 private:
  const char* broken() const override {
    int inside_now = 0;
    for (const thread_of& t : now_.threads) inside_now += t.pc == inside;
    return inside_now > 1 ? beside : nullptr;
  }
  bool all_ended() const override {
    for (const thread_of& t : now_.threads)
      if (t.pc != ended) return false;
    return true;
  }

  std::uint8_t load(const thread_of& t, int from) const {
    return t.buffer.load(now_.memory, from);
  }

  // The mutex of the queue is made of locked instructions.
  bool take(thread_of& t, std::uint8_t me) {
    if (!t.buffer.is_empty() || now_.queue_lock != 0) return false;
    now_.queue_lock = me + 1;
    return true;
  }
  bool give_back(const thread_of& t) {
    if (!t.buffer.is_empty()) return false;
    now_.queue_lock = 0;
    return true;
  }

  bool step(std::size_t which, bool flush) override {
    const auto me = static_cast<std::uint8_t>(which);
    thread_of& t = now_.threads[me];
    if (flush) return t.buffer.flush_one(now_.memory);
    return t.pc < inside ? lock_step(t, me) : unlock_step(t, me);
  }

  // True if this thread has closed the gate.
  bool closes_gate() {
    if (now_.memory[gate_closed] != 0) return false;
    now_.memory[gate_closed] = 1;
    return true;
  }

  bool lock_step(thread_of& t, std::uint8_t me) {
    switch (t.pc) {
      case block:
        if (!t.buffer.is_empty()) return false;
        t.pc = closes_gate() ? inside : t.looks == 0 ? take_queue : watch_queue;
        return true;
      case watch_queue:
        if (load(t, waiters) != 0) t.looks = 0;
        t.pc = t.looks == 0 ? take_queue : watch_gate;
        return true;
      case watch_gate:
        if (load(t, gate_closed) == 0) {
          t.looks = 0;
          t.pc = block;
        } else {
          t.pc = --t.looks == 0 ? take_queue : watch_queue;
        }
        return true;
      case take_queue:
        if (!take(t, me)) return false;
        break;
      case say_waiting:
        if (!on_.j_fetch_add) {
          t.reg = load(t, waiters);
          break;
        }
        if (!t.buffer.is_empty()) return false;
        ++now_.memory[waiters];
        t.pc = look_at_gate;
        return true;
      case read_waiting:
        if (!t.buffer.put(waiters, t.reg + 1)) return false;
        break;
      case look_at_gate:
        t.reg = load(t, gate_closed);
        if (t.reg != 0) {
          now_.queue[now_.queued++] = me;
          t.pc = wait;
        } else {
          t.pc = not_waiting;
        }
        return true;
      case not_waiting:
        if (!t.buffer.is_empty()) return false;
        --now_.memory[waiters];
        now_.queue_lock = 0;
        t.pc = block;
        return true;
      case wait:  // first gives the queue back, then sleeps
        if (now_.queue_lock == me + 1) return give_back(t);
        if (now_.granted[me] == 0) return false;
        now_.granted[me] = 0;
        t.pc = inside;
        return true;
      default: return false;
    }
    ++t.pc;
    return true;
  }

  bool unlock_step(thread_of& t, std::uint8_t me) {
    switch (t.pc) {
      case inside: break;
      case peek_waiters:
        t.pc = load(t, waiters) == 0 ? open_gate : take_to_serve;
        return true;
      case open_gate:
        if (on_.i_exchange) {
          if (!t.buffer.is_empty()) return false;
          now_.memory[gate_closed] = 0;
        } else {
          if (!t.buffer.put(gate_closed, 0)) return false;
        }
        t.pc = on_.look_again ? peek_again : ended;
        return true;
      case peek_again: t.pc = load(t, waiters) == 0 ? ended : block_again; return true;
      case block_again:
        if (!t.buffer.is_empty()) return false;
        t.pc = closes_gate() ? take_to_serve : ended;
        return true;
      case take_to_serve:
        if (!take(t, me)) return false;
        break;
      case serve: return serve_step(t);
      default: return false;
    }
    ++t.pc;
    return true;
  }

  // hand_over(), under the lock of the queue: all here are writers.
  bool serve_step(thread_of& t) {
    if (!t.buffer.is_empty()) return false;
    if (now_.queued == 0) {
      now_.memory[gate_closed] = 0;
    } else {
      now_.granted[now_.queue[0]] = 1;
      for (std::size_t i = 1; i < writers; ++i) now_.queue[i - 1] = now_.queue[i];
      now_.queue[--now_.queued] = 0;
      --now_.memory[waiters];
    }
    now_.queue_lock = 0;
    t.pc = ended;
    return true;
  }

  const switches on_;
};

TEST(PercpuRwsemQueueModel, ServesEverybodyAndOneAtATime) {
  queue_model all{{}};
  EXPECT_THAT(all.explore(for_ever), testing::IsEmpty());
  EXPECT_GT(all.moments(), 500U);  // it did explore
}
TEST(PercpuRwsemQueueModelWithout, TheExchangeThatOpensTheGateAWaiterSleepsForEver) {
  EXPECT_THAT((queue_model{{.i_exchange = false}}.explore(for_ever)),
              testing::Contains(for_ever));
}
TEST(PercpuRwsemQueueModelWithout, TheLockedCountOfWaitersOneSleepsForEver) {
  EXPECT_THAT((queue_model{{.j_fetch_add = false}}.explore(for_ever)),
              testing::Contains(for_ever));
}
TEST(PercpuRwsemQueueModelWithout, TheSecondLookAWaiterSleepsForEver) {
  EXPECT_THAT((queue_model{{.look_again = false}}.explore(for_ever)),
              testing::Contains(for_ever));
}

}  // namespace
}  // namespace memhp
