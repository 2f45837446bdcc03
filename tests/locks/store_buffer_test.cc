// The barriers whose loss shows only while a store waits in its CPU's buffer: some
// nanoseconds, and every call before it shortens them. Here each step that a barrier
// guards comes behind stores to lines that are in no cache; stores leave the buffer in
// order, so the window is a microsecond wide, and the real locks are run across it.
//
// What each test misses when its barrier is taken out: tests/mutants/README.md.
#include <gtest/gtest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <type_traits>

#include "locks/futex.h"
#include "locks/guards.h"
#include "locks/percpu_rwsem.h"
#include "locks/shared_percpu_rwsem.h"

// A writer yields before it sleeps. Here in no time, so that it sleeps when expected to.
extern "C" int sched_yield() noexcept {
  return 0;
}

namespace memhp {
namespace {

constexpr int many = 20'000;

void pause(int times) {
  for (; times > 0; --times) cpu_relax();
}

// On CPUs of their own: threads that take turns on one miss nothing.
void go_to_cpu(int which) {
  static const cpu_set_t allowed = [] {
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof cpus, &cpus);
    return cpus;
  }();
  for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || seen++ != which) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
  }
}

// Lines of this thread that are in no cache when they are written.
class far_lines {
 public:
  void drop() {
#if defined(__x86_64__)
    for (line& each : lines_) __builtin_ia32_clflush(&each);
    __builtin_ia32_mfence();
#endif
  }
  // What is stored after this leaves the store buffer late.
  void fill_the_store_buffer() {
    for (line& each : lines_) each.word = 1;
  }

 private:
  struct alignas(64) line {
    volatile long word = 0;
  };
  std::array<line, 56> lines_;
};

// Two threads that take a step each at about the same time, again and again.
class pair_of_steps {
  using clock = std::chrono::steady_clock;

 public:
  void meet() {
    const int before = arrived_.fetch_add(1);
    const int both = before - before % 2 + 2;
    clock::time_point deadline;
    for (int looks = 0; arrived_.load(std::memory_order_relaxed) < both; ++looks)
      if (looks < 2'000)
        cpu_relax();
      else if (looks == 2'000)
        deadline = clock::now() + std::chrono::seconds{10};
      else
        yield_until(deadline);
  }
  // Now one is ahead by some pauses, now the other.
  void meet(int round, bool first) {
    meet();
    const int ahead = round % 128 - 64;
    pause(first ? ahead : -ahead);
  }

 private:
  // It has lost its CPU, perhaps to us; or it sleeps and nobody will wake it.
  static void yield_until(clock::time_point deadline) {
    std::this_thread::yield();
    if (clock::now() < deadline) return;
    std::fputs("store_buffer_test: the other thread sleeps for ever\n", stderr);
    std::abort();
  }

  std::atomic<int> arrived_ = 0;
};

// Written by holders only, and in two steps: who reads between them was let in wrongly.
struct guarded_pair {
  std::atomic<long> a = 0;
  std::atomic<long> b = 0;

  void write() {
    a.store(a.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    pause(64);
    b.store(b.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  bool whole() const {
    for (int n = 0; n < 64; ++n) {
      if (a.load(std::memory_order_relaxed) != b.load(std::memory_order_relaxed))
        return false;
      cpu_relax();
    }
    return true;
  }
};

// As a guard, by tries.
template <class Lock>
class SCOPED_CAPABILITY trying_guard {
 public:
  explicit trying_guard(Lock& lock) ACQUIRE(lock) : lock_{lock} {
    while (!lock_.try_lock()) cpu_relax();
  }
  ~trying_guard() RELEASE() { lock_.unlock(); }
  trying_guard(const trying_guard&) = delete;
  trying_guard& operator=(const trying_guard&) = delete;

 private:
  Lock& lock_;
};

// A reader's count and a writer's gate at the same time, each round in the lock that
// `at(round)` is.
template <template <class> class Writing, class At>
void expect_apart(At at, int rounds) {
  using lock = std::remove_reference_t<decltype(at(0))>;
  pair_of_steps steps;
  guarded_pair data;
  go_to_cpu(0);
  std::jthread writer{[&] {
    go_to_cpu(1);
    for (int round = 0; round < rounds; ++round) {
      steps.meet(round, true);
      const Writing<lock> hold{at(round)};
      data.write();
    }
  }};
  far_lines far;
  int torn = 0;
  for (int round = 0; round < rounds; ++round) {
    far.drop();
    steps.meet(round, false);
    lock& here = at(round);
    far.fill_the_store_buffer();
    const read_guard<lock> hold{here};
    torn += data.whole() ? 0 : 1;
  }
  EXPECT_EQ(torn, 0) << "torn";
}

// A lock is idle until it is written for the first time.
template <template <class> class Writing>
void expect_apart_when_idle() {
  constexpr std::size_t rounds = many / 4;
  const auto locks = std::make_unique<std::array<percpu_rw_semaphore, rounds>>();
  expect_apart<Writing>(
      [&](int round) -> auto& { return (*locks)[static_cast<std::size_t>(round)]; },
      rounds);
}

template <template <class> class Writing>
void expect_apart_when_fenced() {
  percpu_rw_semaphore lock;
  const percpu_rw_semaphore::burst fenced{lock};
  expect_apart<Writing>([&](int) -> auto& { return lock; }, many);
}

// The last reader leaves so many pauses after the writer came: who misses the other
// sleeps for ever.
struct pauses {
  int least;
  int spread;
};
// Mostly longer than the writer looks before it sleeps.
constexpr pauses when_it_sleeps{32, 512};
// Where nobody spins before sleeping (MEMHP_LOCKS_NO_SPIN) the writer has then looked for
// the last time before the reader's count is there to be seen.
constexpr pauses when_it_comes{0, 16};

template <class Lock>
void expect_the_writer_to_be_woken(Lock& lock, pauses leaves) {
  const int rounds = 4 * many;
  pair_of_steps steps;
  go_to_cpu(0);
  std::jthread writer{[&] {
    go_to_cpu(1);
    for (int round = 0; round < rounds; ++round) {
      steps.meet();
      guard hold{lock};
      steps.meet();
    }
  }};
  far_lines far;
  for (int round = 0; round < rounds; ++round) {
    {
      far.drop();
      read_guard hold{lock};
      steps.meet();
      pause(leaves.least + round % leaves.spread);
      far.fill_the_store_buffer();
    }
    steps.meet();
  }
}

// A writer leaves when somebody is about to queue, and nobody comes after them.
template <class Guard, class Lock>
void expect_nobody_to_queue_at_an_open_gate(Lock& lock, int rounds = 4 * many) {
  pair_of_steps steps;
  go_to_cpu(0);
  std::jthread writer{[&] {
    go_to_cpu(1);
    far_lines far;
    for (int round = 0; round < rounds; ++round) {
      {
        guard hold{lock};
        far.drop();
        steps.meet();
        pause(round % 128);
        far.fill_the_store_buffer();
      }
      steps.meet();
    }
  }};
  for (int round = 0; round < rounds; ++round) {
    steps.meet();
    {
      Guard hold{lock};
    }
    steps.meet();
  }
}

TEST(StoreBuffer, AReaderAndAWriterDoNotMissEachOther) {
  expect_apart_when_idle<guard>();
}

TEST(StoreBuffer, AReaderAndAWriterOfAFencedLockDoNotMissEachOther) {
  expect_apart_when_fenced<guard>();
}

TEST(StoreBuffer, AReaderAndAWriterThatTriesDoNotMissEachOther) {
  expect_apart_when_idle<trying_guard>();
}

TEST(StoreBuffer, AReaderAndAWriterThatTriesAFencedLockDoNotMissEachOther) {
  expect_apart_when_fenced<trying_guard>();
}

TEST(StoreBuffer, TheLastReaderWakesTheWriter) {
  percpu_rw_semaphore lock;
  expect_the_writer_to_be_woken(lock, when_it_sleeps);
}

TEST(StoreBuffer, TheLastReaderWakesTheWriterOfAFencedLock) {
  percpu_rw_semaphore lock;
  const percpu_rw_semaphore::burst fenced{lock};
  expect_the_writer_to_be_woken(lock, when_it_sleeps);
}

TEST(StoreBuffer, TheLastReaderIsNotMissedByAWriterWhoComes) {
  percpu_rw_semaphore lock;
  const percpu_rw_semaphore::burst fenced{lock};
  expect_the_writer_to_be_woken(lock, when_it_comes);
}

TEST(StoreBuffer, NoReaderQueuesAtAnOpenGate) {
  percpu_rw_semaphore lock;
  expect_nobody_to_queue_at_an_open_gate<read_guard<percpu_rw_semaphore>>(lock);
}

TEST(StoreBuffer, NoWriterQueuesAtAnOpenGate) {
  percpu_rw_semaphore lock;
  expect_nobody_to_queue_at_an_open_gate<guard<percpu_rw_semaphore>>(lock);
}

// The lock between processes, by two threads of one. Its sleepers look again by
// themselves, so that a lost wake-up is a delay and nothing that could be seen here.
void expect_apart_through(shared_percpu_rw_semaphore::readers how) {
  const auto lock = std::make_unique<shared_percpu_rw_semaphore>(how);
  shared_percpu_attachment mine;
  ASSERT_EQ(mine.attach(*lock), std::errc{});
  expect_apart<guard>([&](int) -> auto& { return mine; }, many);
}

TEST(StoreBuffer, ProcessesWithMembarrierDoNotMissEachOther) {
  if (shared_percpu_rw_semaphore::best() !=
      shared_percpu_rw_semaphore::readers::expedited)
    GTEST_SKIP() << "no membarrier here";
  expect_apart_through(shared_percpu_rw_semaphore::readers::expedited);
}

TEST(StoreBuffer, ProcessesWithFencesDoNotMissEachOther) {
  expect_apart_through(shared_percpu_rw_semaphore::readers::fenced);
}

TEST(StoreBuffer, NoProcessQueuesToReadAtAnOpenGate) {
  const auto lock = std::make_unique<shared_percpu_rw_semaphore>(
      shared_percpu_rw_semaphore::readers::fenced);
  shared_percpu_attachment mine;
  ASSERT_EQ(mine.attach(*lock), std::errc{});
  expect_nobody_to_queue_at_an_open_gate<read_guard<shared_percpu_attachment>>(mine,
                                                                               many / 2);
}

}  // namespace
}  // namespace memhp
