#include "locks/percpu_rwsem.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "locks/guards.h"
#include "tests/locks/eventually.h"

namespace memhp {
namespace {

// Outside of the analysis, which cannot follow a lock that changes threads or a broken
// rule.
void unlock_shared(percpu_rw_semaphore& sem) NO_THREAD_SAFETY_ANALYSIS {
  sem.unlock_shared();
}
void unlock(percpu_rw_semaphore& sem) NO_THREAD_SAFETY_ANALYSIS {
  sem.unlock();
}
void lock_shared(percpu_rw_semaphore& sem) NO_THREAD_SAFETY_ANALYSIS {
  sem.lock_shared();
}
// Whether a reader would be let in now.
bool open_to_readers(percpu_rw_semaphore& sem) {
  if (!sem.try_lock_shared()) return false;
  sem.unlock_shared();
  return true;
}

TEST(PercpuRwSemaphore, ReadersShareIt) {
  percpu_rw_semaphore sem;
  std::barrier both_inside{2};
  const auto reader = [&] {
    read_guard hold{sem};
    both_inside.arrive_and_wait();
  };
  std::jthread other{reader};
  reader();
}

TEST(PercpuRwSemaphore, AWriterKeepsReadersOut) {
  percpu_rw_semaphore sem;
  EXPECT_TRUE(open_to_readers(sem));
  {
    guard hold{sem};
    EXPECT_TRUE(sem.is_write_locked());
    std::thread{[&] { EXPECT_FALSE(open_to_readers(sem)); }}.join();
  }
  EXPECT_TRUE(open_to_readers(sem));
}

TEST(PercpuRwSemaphore, AWriterWaitsForReadersAndIsNotOvertakenByLaterOnes) {
  percpu_rw_semaphore sem;
  std::string order;  // guarded by sem or by the joins
  lock_shared(sem);
  std::jthread writer{[&] {
    guard hold{sem};
    order += "writer ";
  }};
  ASSERT_TRUE(eventually([&] { return !open_to_readers(sem); }));  // it waits
  std::jthread reader{[&] {
    read_guard hold{sem};
    order += "reader ";
  }};
  order += "first ";  // we are inside: the writer cannot be
  unlock_shared(sem);
  writer.join();
  reader.join();
  EXPECT_EQ(order, "first writer reader ");
}

// Without the wake-up the writer sleeps for ever; where it does not spin before, most
// often.
TEST(PercpuRwSemaphore, AReaderWhoLeavesAsAWriterComesWakesIt) {
  percpu_rw_semaphore sem;
  std::barrier both{2};
  constexpr int rounds = 5'000;
  std::jthread writer{[&] {
    for (int i = 0; i < rounds; ++i) {
      both.arrive_and_wait();
      {
        guard hold{sem};
      }
      both.arrive_and_wait();
    }
  }};
  for (int i = 0; i < rounds; ++i) {
    {
      read_guard hold{sem};
      both.arrive_and_wait();
    }
    both.arrive_and_wait();
  }
}

// Whether another thread would get it to write now.
bool free_to_write(percpu_rw_semaphore& sem) {
  bool got = false;
  std::thread{[&] {
    if (!sem.try_lock()) return;
    got = true;
    sem.unlock();
  }}.join();
  return got;
}

TEST(PercpuRwSemaphore, TryLockFailsBesideAnybodyElse) {
  percpu_rw_semaphore sem;
  EXPECT_TRUE(free_to_write(sem));
  {
    read_guard hold{sem};
    EXPECT_FALSE(free_to_write(sem));
    EXPECT_TRUE(sem.is_read_locked());
    EXPECT_TRUE(open_to_readers(sem)) << "a try in vain leaves the gate open";
  }
  {
    guard hold{sem};
    EXPECT_FALSE(free_to_write(sem));
    EXPECT_TRUE(sem.is_write_locked());
  }
  EXPECT_TRUE(free_to_write(sem));
  EXPECT_TRUE(open_to_readers(sem));
}

TEST(PercpuRwSemaphore, TryLockFailsWhileAWriterWaits) {
  percpu_rw_semaphore sem;
  std::jthread writer;
  {
    read_guard hold{sem};
    writer = std::jthread{[&] { guard write{sem}; }};
    EXPECT_TRUE(eventually([&] { return sem.is_write_locked(); }));
    EXPECT_FALSE(free_to_write(sem));
  }
  writer.join();
  EXPECT_TRUE(free_to_write(sem));
}

TEST(PercpuRwSemaphore, ATryInVainSendsOnWhoQueuedMeanwhile) {
  percpu_rw_semaphore sem;
  std::atomic<bool> stop = false;
  std::atomic<long> done = 0;
  std::vector<std::jthread> others;
  others.emplace_back([&] {
    while (!stop) {
      read_guard hold{sem};
      ++done;
    }
  });
  others.emplace_back([&] {
    while (!stop) {
      guard hold{sem};
      ++done;
    }
  });
  int got = 0;
  for (int i = 0; i < 20'000; ++i)
    if (sem.try_lock()) {
      ++got;
      sem.unlock();
    }
  const long before = done;
  EXPECT_TRUE(eventually([&] { return done > before + 10; }));
  stop = true;
  others.clear();
  EXPECT_TRUE(free_to_write(sem)) << got << " tries got it";
}

TEST(PercpuRwSemaphore, WorksWithTheLocksOfTheStandardLibrary) {
  percpu_rw_semaphore one;
  percpu_rw_semaphore two;
  {
    const std::shared_lock reading{one};
    const std::unique_lock in_vain{one, std::try_to_lock};
    EXPECT_FALSE(in_vain.owns_lock());
  }
  {
    const std::unique_lock got{one, std::try_to_lock};
    EXPECT_TRUE(got.owns_lock());
  }
  std::vector<std::jthread> threads;
  long both = 0;
  for (const bool swapped : {false, true})
    threads.emplace_back([&, swapped] {
      for (int i = 0; i < 1'000; ++i) {
        const std::scoped_lock hold{swapped ? two : one, swapped ? one : two};
        ++both;
      }
    });
  threads.clear();
  EXPECT_EQ(both, 2'000);
}

TEST(PercpuRwSemaphore, AReaderMayLeaveOnAnotherThread) {
  percpu_rw_semaphore sem;
  lock_shared(sem);
  std::thread{[&] { unlock_shared(sem); }}.join();
  guard hold{sem};
  EXPECT_TRUE(sem.is_write_locked());
}

// Against a naive model: who is inside is counted, and compared at every step.
TEST(PercpuRwSemaphore, NeverHasAWriterBesideAnybodyElse) {
  constexpr int rounds = 4'000;
  percpu_rw_semaphore sem;
  std::atomic<int> readers = 0;
  std::atomic<int> writers = 0;
  long a = 0;  // plain: only the lock orders their uses
  long b = 0;
  const auto read_once = [&] {
    ++readers;
    EXPECT_EQ(writers, 0);
    std::this_thread::yield();  // give the others a chance to come in wrongly
    EXPECT_EQ(a, b);
    --readers;
  };
  std::barrier all_there{4};
  std::vector<std::jthread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed)
    threads.emplace_back([&, seed] {
      std::mt19937 random{seed};
      all_there.arrive_and_wait();
      for (int round = 0; round < rounds; ++round) {
        const auto what = random() % 8;
        if (what == 0) {
          guard hold{sem};
          EXPECT_EQ(++writers, 1);
          EXPECT_EQ(readers, 0);
          ++a;
          std::this_thread::yield();
          ++b;
          --writers;
        } else if (what < 5) {
          read_guard hold{sem};
          read_once();
        } else if (sem.try_lock_shared()) {
          read_once();
          sem.unlock_shared();
        }
      }
    });
  threads.clear();
  EXPECT_EQ(a, b);
  EXPECT_GT(a, 0);
  EXPECT_TRUE(open_to_readers(sem));
}

// Writers queue behind each other: whoever waits is served, whatever the others do.
TEST(PercpuRwSemaphore, ServesEverybodyWhoWaits) {
  percpu_rw_semaphore sem;
  std::atomic<int> served = 0;
  std::vector<std::jthread> threads;
  {
    guard hold{sem};
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        guard mine{sem};
        ++served;
      });
      threads.emplace_back([&] {
        read_guard mine{sem};
        ++served;
      });
    }
    EXPECT_EQ(served, 0);
  }
  threads.clear();
  EXPECT_EQ(served, 8);
}

// Nobody can say at the moment of the unlock whether another CPU counted the reader in.
TEST(PercpuRwSemaphoreDeathTest, AReadUnlockOfWhatIsNotHeldIsNoticedByTheNextWriter) {
  percpu_rw_semaphore sem;
  EXPECT_DEATH(
      {
        unlock_shared(sem);
        std::unique_lock writing{sem};
      },
      "read unlock of what is not held: percpu_rw_semaphore at 0x");
}

TEST(PercpuRwSemaphoreDeathTest, BrokenRulesAbort) {
  percpu_rw_semaphore sem;
  EXPECT_DEATH(unlock(sem),
               "write unlock of what is not held: percpu_rw_semaphore at 0x");
  EXPECT_DEATH(
      {
        percpu_rw_semaphore held;
        lock_shared(held);
      },
      "destroyed while held");
}

}  // namespace
}  // namespace memhp
