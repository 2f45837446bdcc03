// percpu_rw_semaphore where it is hard: readers that change CPUs while they hold it,
// signals in the middle of the fast path, threads that come and go, fork. Run once for
// each of the ways in which a process may count (see CMakeLists.txt).
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <random>
#include <thread>
#include <vector>

#include "locks/guards.h"
#include "locks/membarrier.h"
#include "locks/percpu_rwsem.h"
#include "tests/locks/eventually.h"

namespace memhp {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int rounds = 300;
#else
constexpr int rounds = 3'000;
#endif

// Written by holders only: `a` and `b` differ inside of a write and nowhere else.
struct guarded_pair {
  percpu_rw_semaphore lock;
  long a = 0;
  long b = 0;

  void write() {
    guard hold{lock};
    ++a;
    std::this_thread::yield();
    ++b;
  }
};

void go_to_cpu(unsigned cpu, const cpu_set_t& allowed) {
  const auto count = static_cast<unsigned>(CPU_COUNT(&allowed));
  unsigned skip = cpu % count;
  for (int at = 0; at < CPU_SETSIZE; ++at) {
    if (!CPU_ISSET(at, &allowed) || skip-- != 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(at, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

TEST(PercpuRwsemTorture, ReadersThatChangeCpusAreCountedOnce) {
  guarded_pair shared;
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  std::vector<std::jthread> threads;
  for (unsigned seed = 1; seed <= 3; ++seed)
    threads.emplace_back([&, seed] {
      std::mt19937 random{seed};
      for (int i = 0; i < rounds; ++i) {
        go_to_cpu(random(), allowed);
        read_guard hold{shared.lock};
        EXPECT_EQ(shared.a, shared.b);
        if (random() % 4 == 0) go_to_cpu(random(), allowed);
        EXPECT_EQ(shared.a, shared.b);
      }
    });
  for (int i = 0; i < rounds / 10; ++i) shared.write();
  threads.clear();
  shared.write();
  EXPECT_EQ(shared.a, rounds / 10 + 1);
}

TEST(PercpuRwsemTorture, ThreadsThatComeAndGoLeaveNothingBehind) {
  guarded_pair shared;
  for (int i = 0; i < rounds / 30; ++i) {
    std::vector<std::jthread> brief;
    for (int n = 0; n < 3; ++n)
      brief.emplace_back([&] {
        read_guard hold{shared.lock};
        EXPECT_EQ(shared.a, shared.b);
      });
    shared.write();
  }
  EXPECT_TRUE(!shared.lock.is_read_locked());
}

percpu_rw_semaphore* of_the_handler = nullptr;
std::atomic<int> handled = 0;

void read_in_handler(int) {
  if (!of_the_handler->try_lock_shared()) return;
  of_the_handler->unlock_shared();
  handled.fetch_add(1, std::memory_order_relaxed);
}

// While one lives, `signal` reads the lock.
class handler_that_reads {
 public:
  handler_that_reads(int signal, percpu_rw_semaphore& lock) : signal_{signal} {
    of_the_handler = &lock;
    struct sigaction action{};
    action.sa_handler = read_in_handler;
    action.sa_flags = SA_RESTART;
    EXPECT_EQ(sigaction(signal_, &action, &former_), 0);
  }
  ~handler_that_reads() { sigaction(signal_, &former_, nullptr); }
  handler_that_reads(const handler_that_reads&) = delete;
  handler_that_reads& operator=(const handler_that_reads&) = delete;

 private:
  int signal_;
  struct sigaction former_{};
};

TEST(PercpuRwsemTorture, AHandlerThatReadsLosesNoCount) {
  percpu_rw_semaphore lock;
  const handler_that_reads handler{SIGALRM, lock};
  const itimerval often{.it_interval = {.tv_sec = 0, .tv_usec = 100},
                        .it_value = {.tv_sec = 0, .tv_usec = 100}};
  setitimer(ITIMER_REAL, &often, nullptr);
  while (handled.load(std::memory_order_relaxed) < 50) {
    read_guard hold{lock};
  }
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  guard hold{lock};  // comes in only if every count was balanced
  EXPECT_TRUE(lock.is_write_locked());
}

// Where rows are threads, the first read of a thread takes a row: under a lock, which the
// handler must not find held by the thread it interrupts.
TEST(PercpuRwsemTorture, AHandlerThatReadsMayInterruptAThreadsFirstRead) {
  percpu_rw_semaphore lock;
  const handler_that_reads handler{SIGUSR1, lock};
  for (int i = 0; i < rounds / 3; ++i) {
    std::atomic<bool> reads = false;
    std::atomic<bool> has_read = false;
    std::thread brief{[&] {
      reads = true;
      {
        read_guard hold{lock};
      }
      has_read = true;
    }};
    while (!reads) std::this_thread::yield();
    while (!has_read) pthread_kill(brief.native_handle(), SIGUSR1);
    brief.join();
  }
  guard hold{lock};
  EXPECT_TRUE(lock.is_write_locked());
}

// Where rows are threads, a thread gives its row back when it ends, and what it does last
// comes after that.
TEST(PercpuRwsemTorture, AReadInAThreadsLastDestructorIsSeen) {
  static percpu_rw_semaphore* lock;
  static bool seen;
  percpu_rw_semaphore made;
  lock = &made;
  {
    read_guard once{made};  // the key that a row's owner has is older than ours
  }
  pthread_key_t last{};
  ASSERT_EQ(pthread_key_create(&last,
                               [](void*) {
                                 read_guard hold{*lock};
                                 seen = lock->is_read_locked();
                               }),
            0);
  for (int i = 0; i < 3; ++i) {
    seen = false;
    std::thread{[&] {
      {
        read_guard hold{made};
      }
      pthread_setspecific(last, &made);
    }}.join();
    EXPECT_TRUE(seen);
  }
  pthread_key_delete(last);
  EXPECT_FALSE(made.is_read_locked());
}

// The child of a fork has none of the parent's other threads, and so none of their holds.
TEST(PercpuRwsemTorture, InTheChildOfAForkEveryLockIsFree) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer does not follow a fork while other threads run";
#endif
  percpu_rw_semaphore read_held;
  percpu_rw_semaphore write_held;
  std::atomic<bool> done = false;
  std::atomic<int> holding = 0;
  std::jthread reader{[&] {
    read_guard hold{read_held};
    ++holding;
    while (!done) std::this_thread::yield();
  }};
  std::jthread writer{[&] {
    guard hold{write_held};
    ++holding;
    while (!done) std::this_thread::yield();
  }};
  ASSERT_TRUE(eventually([&] { return holding == 2; }));
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    {
      guard hold{read_held};
    }
    {
      read_guard hold{write_held};
    }
    {
      guard hold{write_held};
    }
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(read_held.is_read_locked());  // the parent's are as they were
  EXPECT_TRUE(write_held.is_write_locked());
  done = true;
}

TEST(PercpuRwsemTorture, ABurstAndAWriterBesideReaders) {
  guarded_pair shared;
  std::atomic<bool> done = false;
  std::vector<std::jthread> readers;
  for (int n = 0; n < 2; ++n)
    readers.emplace_back([&] {
      while (!done) {
        read_guard hold{shared.lock};
        EXPECT_EQ(shared.a, shared.b);
      }
    });
  for (int i = 0; i < rounds / 30; ++i) {
    const percpu_rw_semaphore::burst many{shared.lock};
    shared.write();
    shared.write();
  }
  for (int i = 0; i < rounds / 30; ++i) shared.write();
  done = true;
}

// A barrier that begins to be refused must not become a lock that does not lock.
TEST(PercpuRwsemTorture, StillExcludesWhenMembarrierBeginsToFail) {
  if (!membarrier_usable())
    GTEST_SKIP() << "this process has no membarrier that could begin to fail";
  guarded_pair shared;
  std::atomic<bool> done = false;
  std::jthread reader{[&] {
    while (!done) {
      read_guard hold{shared.lock};
      EXPECT_EQ(shared.a, shared.b);
    }
  }};
  for (const int refused_ways : {1, 2}) {
    refuse_membarrier_for_test(refused_ways);
    for (int i = 0; i < 5; ++i) shared.write();
    membarrier_all_threads();  // under ThreadSanitizer writers want none
    EXPECT_FALSE(membarrier_usable());
  }
  refuse_membarrier_for_test(0);
  done = true;
  reader.join();
  shared.write();
  EXPECT_EQ(shared.a, 11);
}

// The last resort, too, reaches a thread that is pinned where the caller may not run: it
// is switched out at least once.
TEST(PercpuRwsemTorture, TheBarrierOfLastResortVisitsCpusOfOtherThreads) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  if (!membarrier_usable() || CPU_COUNT(&allowed) < 2)
    GTEST_SKIP() << "wants membarrier and two CPUs";
  std::atomic<int> step = 0;
  long switches = 0;
  const auto switched = [] {
    rusage used{};
    getrusage(RUSAGE_THREAD, &used);
    return used.ru_nivcsw + used.ru_nvcsw;
  };
  std::jthread elsewhere{[&] {
    go_to_cpu(1, allowed);
    const long before = switched();
    step = 1;
    while (step == 1) {
    }
    switches = switched() - before;
  }};
  std::jthread caller{[&] {
    go_to_cpu(0, allowed);
    while (step == 0) std::this_thread::yield();
    refuse_membarrier_for_test(2);
    membarrier_all_threads();
    refuse_membarrier_for_test(0);
    cpu_set_t after;
    sched_getaffinity(0, sizeof after, &after);
    EXPECT_EQ(CPU_COUNT(&after), 1);  // back to where it was pinned
    step = 2;
  }};
  caller.join();
  elsewhere.join();
  EXPECT_GT(switches, 0);
}

// --- fairness -------------------------------------------------------------------------

// Nobody is passed by what came after it: the order in which waiters queued is the order
// in which they are served, a run of readers together.
TEST(PercpuRwsemFairness, TheQueueIsServedInOrder) {
  percpu_rw_semaphore lock;
  std::string order;  // guarded by `lock`, readers append under `mine`
  mutex mine;
  std::vector<std::jthread> threads;
  std::atomic<int> queued = 0;
  const auto come = [&](char who, bool writes) {
    const int before = queued;
    threads.emplace_back([&, who, writes] {
      ++queued;
      if (writes) {
        guard hold{lock};
        order += who;
      } else {
        read_guard hold{lock};
        guard append{mine};
        order += who;
      }
    });
    ASSERT_TRUE(eventually([&] { return queued == before + 1; }));
    // From here to its place in the queue it needs a moment and no lock of ours.
    ASSERT_TRUE(eventually([&] { return lock.waiters() == before + 1U; }));
  };
  {
    guard hold{lock};
    come('W', true);
    come('r', false);
    come('s', false);
    come('X', true);
    come('t', false);
  }
  threads.clear();
  ASSERT_EQ(order.size(), 5U);
  EXPECT_EQ(order[0], 'W');
  EXPECT_TRUE(order.substr(1, 2) == "rs" || order.substr(1, 2) == "sr") << order;
  EXPECT_EQ(order[3], 'X');
  EXPECT_EQ(order[4], 't');
}

}  // namespace
}  // namespace memhp
