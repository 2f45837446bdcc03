// rw_semaphore explored exhaustively: a few tasks that read or write once, every order of
// their steps. state_ changes by locked instructions only, and the queue has a mutex, so
// that no machine shows more than these orders.
//
// What the letters of rwsem.cc stand for are switches here. With all on, nobody comes in
// beside a writer and nobody sleeps for ever; with one off, somebody does. C carries what
// the holders did to the one who was granted the lock: it orders memory and no steps, so
// this model says nothing of it, and x86 keeps that order by itself. ThreadSanitizer does
// see it (the perturbed copies of the tests).
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
  bool a_looks = true;          // who queues looks at what he has left behind
  bool b_looks = true;          // who leaves looks whether somebody queues
  bool d_exchanges = true;      // the promise is made to the state that was looked at
  bool counts_in_first = true;  // invariant 3: a reader counts before it looks
};

enum : std::uint8_t { writer = 1, queued = 2, called = 4, handoff = 8, reader = 16 };
enum word : std::uint8_t { waits, is_called, is_granted };

enum at : std::uint8_t {
  arrive,
  count_late,  // of a reader that looks first
  spin,        // a reader that has counted itself in
  queue,       // takes the queue's mutex
  look,
  sleep,
  compete,  // takes the queue's mutex
  look_at_state,
  promise,
  inside,
  leave,
  serve_later,  // takes the queue's mutex
  ended
};

constexpr std::size_t max_tasks = 4;
struct task_of {
  std::uint8_t pc = ended, seen = 0, word = waits, writes = 0;
};
struct moment {
  std::uint8_t state = 0;
  std::uint8_t mutex = 0;  // 1 + who has it
  std::uint8_t length = 0;
  std::array<std::uint8_t, max_tasks> line{};  // the queue
  std::array<task_of, max_tasks> threads{};
};

constexpr const char* beside = "a writer beside somebody";
constexpr const char* for_ever = "somebody sleeps for ever";

class rwsem_model final : public exhaustive_model<moment> {
 public:
  // One letter for each task: w writes, r reads.
  rwsem_model(std::string_view tasks, switches on) : on_{on} {
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      now_.threads[i].pc = arrive;
      now_.threads[i].writes = tasks[i] == 'w';
    }
  }

 private:
  bool all_ended() const override {
    for (const task_of& t : now_.threads)
      if (t.pc != ended) return false;
    return true;
  }
  // Who was granted the lock is inside, whether it has woken or not.
  static bool holds(const task_of& t) {
    return t.pc == inside || t.pc == leave ||
           ((t.pc == sleep || t.pc == look) && t.word == is_granted);
  }
  const char* broken() const override {
    int writers = 0, readers = 0;
    for (const task_of& t : now_.threads)
      if (holds(t)) ++(t.writes != 0 ? writers : readers);
    return writers > 1 || (writers == 1 && readers != 0) ? beside : nullptr;
  }

  static bool is_free(std::uint8_t seen) {
    return (seen & ~(queued | called | handoff)) == 0;
  }
  static bool may_enter(const task_of& who, std::uint8_t seen) {
    return who.writes != 0 ? is_free(seen) : (seen & writer) == 0;
  }
  void add(int change) { now_.state = static_cast<std::uint8_t>(now_.state + change); }
  void set(int bits) { now_.state = static_cast<std::uint8_t>(now_.state | bits); }
  void clear(int bits) { now_.state = static_cast<std::uint8_t>(now_.state & ~bits); }

  // `lucky`: a spin that finds what it waits for ends; otherwise it gives up.
  bool step(std::size_t which, bool lucky) override {
    const auto me = static_cast<std::uint8_t>(which);
    task_of& t = now_.threads[me];
    if (lucky && t.pc != spin) return false;
    switch (t.pc) {
      case arrive: arrives(t); return true;
      case count_late:
        add(reader);
        t.pc = inside;
        return true;
      case spin:
        if (lucky && (now_.state & writer) != 0) return false;
        t.pc = lucky ? inside : queue;
        return true;
      case queue: return queues(t, me);
      case look: looks(t); return true;
      case sleep:
        if (t.word == waits) return false;
        t.pc = t.word == is_granted ? inside : compete;
        return true;
      case compete: return competes(t, me);
      case look_at_state:
        t.seen = now_.state;
        if (may_enter(t, t.seen))
          try_grant_self(t);
        else
          t.pc = promise;
        return true;
      case promise: promises(t); return true;
      case inside: t.pc = leave; return true;
      case leave: leaves(t); return true;
      case serve_later:
        if (now_.mutex != 0) return false;
        serve();
        t.pc = ended;
        return true;
      default: return false;
    }
  }

  void arrives(task_of& t) {
    if (t.writes != 0) {
      if (now_.state == 0) {
        add(writer);
        t.pc = inside;
      } else {
        t.pc = queue;
      }
      return;
    }
    t.seen = now_.state;
    const bool enters = (t.seen & (writer | handoff)) == 0;
    if (!on_.counts_in_first) {
      t.pc = enters ? count_late : arrive;
      return;
    }
    add(reader);
    if (enters)
      t.pc = inside;
    else
      t.pc = (t.seen & handoff) == 0 ? spin : queue;
  }

  // wait_in_queue(), up to what is done with the result.
  bool queues(task_of& t, std::uint8_t me) {
    if (now_.mutex != 0) return false;
    now_.mutex = me + 1;
    const bool first = now_.length == 0;
    now_.line[now_.length++] = me;
    add((first ? queued : 0) - (t.writes != 0 ? 0 : reader));
    t.seen = now_.state;
    t.word = waits;
    t.pc = look;
    return true;
  }
  void looks(task_of& t) {
    if (on_.a_looks) {
      if (now_.length != 0 && &now_.threads[now_.line[0]] == &t)
        grant();
      else if ((t.seen & handoff) != 0 || is_free(t.seen))
        serve();
    }
    now_.mutex = 0;
    t.pc = sleep;
  }

  bool competes(task_of& t, std::uint8_t me) {
    if (now_.mutex != 0) return false;
    now_.mutex = me + 1;
    t.word = waits;
    try_grant_self(t);
    return true;
  }
  void try_grant_self(task_of& t) {
    if (grant()) {
      now_.mutex = 0;
      t.pc = sleep;
    } else {
      t.pc = look_at_state;
    }
  }
  void promises(task_of& t) {
    if (on_.d_exchanges && now_.state != t.seen) {
      try_grant_self(t);
      return;
    }
    set(handoff);
    clear(called);
    now_.mutex = 0;
    t.pc = sleep;
  }

  void leaves(task_of& t) {
    const std::uint8_t before = now_.state;
    add(t.writes != 0 ? -writer : -reader);
    const std::uint8_t after = now_.state;
    const bool slow = t.writes != 0 || is_free(after) || (before & handoff) == 0;
    const bool serves = slow && (after & queued) != 0 &&
                        ((after & handoff) != 0 || (after & called) == 0);
    t.pc = serves && on_.b_looks ? serve_later : ended;
  }

  // Under the queue's mutex; nobody else changes the queue meanwhile, and a changed state
  // only repeats the exchange.
  void serve() {
    if (now_.length == 0) return;
    if ((now_.state & handoff) != 0) {
      grant();
      return;
    }
    if ((now_.state & called) != 0) return;
    set(called);
    now_.threads[now_.line[0]].word = is_called;
  }
  bool grant() {
    const task_of& first = now_.threads[now_.line[0]];
    if (!may_enter(first, now_.state)) return false;
    std::size_t run = 1;
    if (first.writes == 0)
      while (run < now_.length && now_.threads[now_.line[run]].writes == 0) ++run;
    clear(called | handoff | (run == now_.length ? queued : 0));
    for (std::size_t i = 0; i < run; ++i) {
      task_of& granted = now_.threads[now_.line[i]];
      add(granted.writes != 0 ? writer : reader);
      granted.word = is_granted;
    }
    for (std::size_t i = 0; i < max_tasks; ++i)
      now_.line[i] = i + run < now_.length ? now_.line[i + run] : 0;
    now_.length = static_cast<std::uint8_t>(now_.length - run);
    return true;
  }

  const switches on_;
};

std::set<std::string> wrong(switches on) {
  std::set<std::string> all;
  for (const char* tasks : {"ww", "wr", "www", "wwr", "wrr", "wwrr", "wwwr"})
    all.merge(rwsem_model{tasks, on}.explore(for_ever));
  return all;
}

TEST(RwSemaphoreModel, NobodyComesInBesideAWriterAndNobodySleepsForEver) {
  EXPECT_THAT(wrong({}), testing::IsEmpty());
  rwsem_model four{"wwrr", {}};
  four.explore(for_ever);
  EXPECT_GT(four.moments(), 1000U);  // it did explore
}
TEST(RwSemaphoreModelWithout, TheLookOfWhoQueuesSomebodySleepsForEver) {
  EXPECT_THAT(wrong({.a_looks = false}), testing::Contains(for_ever));
}
TEST(RwSemaphoreModelWithout, TheLookOfWhoLeavesSomebodySleepsForEver) {
  EXPECT_THAT(wrong({.b_looks = false}), testing::Contains(for_ever));
}
TEST(RwSemaphoreModelWithout, ThePromiseToWhatWasSeenSomebodySleepsForEver) {
  EXPECT_THAT(wrong({.d_exchanges = false}), testing::Contains(for_ever));
}
TEST(RwSemaphoreModelWithout, TheCountBeforeTheLookAWriterComesInBesideAReader) {
  EXPECT_THAT(wrong({.counts_in_first = false}), testing::Contains(beside));
}

}  // namespace
}  // namespace memhp
