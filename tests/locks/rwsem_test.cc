#include "locks/rwsem.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "locks/guards.h"
#include "tests/locks/sleeper.h"

namespace memhp {
namespace {

#ifdef __SANITIZE_THREAD__
constexpr int rounds = 2'000;
#else
constexpr int rounds = 20'000;
#endif

// Outside of the analysis, which cannot follow a hold that changes threads or a broken
// rule.
void lock(rw_semaphore& sem) NO_THREAD_SAFETY_ANALYSIS {
  sem.lock();
}
void unlock(rw_semaphore& sem) NO_THREAD_SAFETY_ANALYSIS {
  sem.unlock();
}
void lock_shared(rw_semaphore& sem) NO_THREAD_SAFETY_ANALYSIS {
  sem.lock_shared();
}
void unlock_shared(rw_semaphore& sem) NO_THREAD_SAFETY_ANALYSIS {
  sem.unlock_shared();
}
void downgrade(rw_semaphore& sem) NO_THREAD_SAFETY_ANALYSIS {
  sem.downgrade();
}
bool open_to_readers(rw_semaphore& sem) {
  if (!sem.try_lock_shared()) return false;
  sem.unlock_shared();
  return true;
}
bool open_to_writers(rw_semaphore& sem) {
  if (!sem.try_lock()) return false;
  sem.unlock();
  return true;
}

// Threads that queue one after the other and write down when they are let in.
class arrivals {
 public:
  explicit arrivals(rw_semaphore& sem) : sem_{sem} {}

  void reader(char name) {
    add([this, name] {
      read_guard hold{sem_};
      note(name);
    });
  }
  void writer(char name) {
    add([this, name] {
      guard hold{sem_};
      note(name);
    });
  }
  // Their names in the order in which they were let in, once all have been.
  std::string order() {
    queue_.clear();
    return order_;
  }

 private:
  void add(std::function<void()> work) {
    queue_.push_back(std::make_unique<sleeper>(std::move(work)));
    EXPECT_TRUE(queue_.back()->falls_asleep());
  }
  void note(char name) {
    const std::lock_guard hold{order_lock_};
    order_ += name;
  }

  rw_semaphore& sem_;
  std::mutex order_lock_;
  std::string order_;
  std::vector<std::unique_ptr<sleeper>> queue_;
};

TEST(RwSemaphore, ReadersShareItAndKeepWritersOut) {
  rw_semaphore sem;
  std::barrier both_inside{2};
  const auto reader = [&] {
    read_guard hold{sem};
    both_inside.arrive_and_wait();  // would wait for ever if one kept the other out
    EXPECT_FALSE(open_to_writers(sem));
    both_inside.arrive_and_wait();
  };
  std::jthread other{reader};
  reader();
  other.join();
  EXPECT_TRUE(open_to_writers(sem));
}

TEST(RwSemaphore, AWriterKeepsEverybodyOut) {
  rw_semaphore sem;
  {
    guard hold{sem};
    EXPECT_FALSE(open_to_readers(sem));
    EXPECT_FALSE(open_to_writers(sem));
  }
  EXPECT_TRUE(open_to_readers(sem));
  EXPECT_TRUE(open_to_writers(sem));
}

TEST(RwSemaphore, WorksWithTheLocksOfTheStandardLibrary) {
  rw_semaphore sem;
  {
    const std::shared_lock read{sem};
    EXPECT_FALSE(open_to_writers(sem));
  }
  const std::unique_lock write{sem};
  EXPECT_FALSE(open_to_readers(sem));
}

TEST(RwSemaphore, ServesWritersInTheOrderOfArrival) {
  rw_semaphore sem;
  arrivals queue{sem};
  lock(sem);
  for (const char name : std::string{"abcd"}) queue.writer(name);
  unlock(sem);
  EXPECT_EQ(queue.order(), "abcd");
}

// Two readers inside, a writer waits. When the first leaves the writer is called, finds
// the second, and has the lock promised to it; from then on nobody passes it.
TEST(RwSemaphore, AWaitingWriterIsPassedOnlyUntilItWasCalledInVain) {
  rw_semaphore sem;
  arrivals queue{sem};
  lock_shared(sem);
  lock_shared(sem);
  queue.writer('w');
  EXPECT_TRUE(open_to_readers(sem));  // this one leaves, too: the call
  unlock_shared(sem);
  ASSERT_TRUE(eventually([&] { return !open_to_readers(sem); }));
  queue.reader('r');
  unlock_shared(sem);
  EXPECT_EQ(queue.order(), "wr");
}

TEST(RwSemaphore, ReadersAndWritersAreServedInTheOrderOfArrival) {
  rw_semaphore sem;
  arrivals queue{sem};
  lock(sem);
  queue.reader('r');
  queue.writer('w');
  queue.writer('x');
  unlock(sem);
  EXPECT_EQ(queue.order(), "rwx");
}

TEST(RwSemaphore, ReadersAtTheHeadEnterTogetherUpToAWriter) {
  rw_semaphore sem;
  std::barrier both_inside{2};
  std::atomic<bool> written = false;
  lock(sem);
  const auto reader = [&] {
    read_guard hold{sem};
    both_inside.arrive_and_wait();
    EXPECT_FALSE(written);
    both_inside.arrive_and_wait();
  };
  sleeper first{reader};
  ASSERT_TRUE(first.falls_asleep());
  sleeper second{reader};
  ASSERT_TRUE(second.falls_asleep());
  sleeper writer{[&] {
    guard hold{sem};
    written = true;
  }};
  ASSERT_TRUE(writer.falls_asleep());
  sleeper third{[&] {
    read_guard hold{sem};
    EXPECT_TRUE(written);
  }};
  ASSERT_TRUE(third.falls_asleep());
  unlock(sem);
}

TEST(RwSemaphore, DowngradeLetsReadersInAndKeepsWritersOut) {
  rw_semaphore sem;
  int value = 0;
  lock(sem);
  std::atomic<int> seen = 0;
  sleeper reader{[&] {
    read_guard hold{sem};
    seen = value;
  }};
  ASSERT_TRUE(reader.falls_asleep());
  sleeper writer{[&] {
    guard hold{sem};
    value = 2;
  }};
  ASSERT_TRUE(writer.falls_asleep());
  value = 1;
  downgrade(sem);
  reader.join();
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(value, 1);  // we still read
  EXPECT_TRUE(writer.stays_asleep());
  unlock_shared(sem);
  writer.join();
  EXPECT_EQ(value, 2);
}

TEST(RwSemaphore, AHoldMayBeReleasedByAnotherThread) {
  rw_semaphore sem;
  lock_shared(sem);
  std::thread{[&] { unlock_shared(sem); }}.join();
  lock(sem);
  tsan_given_away(&sem);
  std::thread{[&] {
    tsan_taken_over(&sem);
    unlock(sem);
  }}.join();
  EXPECT_TRUE(open_to_writers(sem));
}

// Against a naive model: who is inside is counted, and compared at every step.
class crowd {
 public:
  void run(unsigned threads) {
    std::barrier all_there{static_cast<std::ptrdiff_t>(threads)};
    std::vector<std::jthread> workers;
    for (unsigned seed = 1; seed <= threads; ++seed)
      workers.emplace_back([&, seed] {
        std::mt19937 random{seed};
        all_there.arrive_and_wait();
        for (int round = 0; round < rounds; ++round) step(random() % 16);
      });
    workers.clear();
    EXPECT_EQ(a_, b_);
    EXPECT_GT(a_, 0);
    EXPECT_TRUE(open_to_writers(sem_));  // nothing is left behind
  }

 private:
  void step(unsigned what) NO_THREAD_SAFETY_ANALYSIS {
    if (what < 2) {
      sem_.lock();
      write();
      sem_.unlock();
    } else if (what < 3) {
      sem_.lock();
      write();
      sem_.downgrade();
      read();
      sem_.unlock_shared();
    } else if (what < 5) {
      if (!sem_.try_lock()) return;
      write();
      sem_.unlock();
    } else if (what < 10) {
      sem_.lock_shared();
      read();
      sem_.unlock_shared();
    } else if (sem_.try_lock_shared()) {
      read();
      sem_.unlock_shared();
    }
  }
  // The counters are relaxed: they must not bring the order that the lock has to bring.
  void write() {
    EXPECT_EQ(writers_.fetch_add(1, std::memory_order_relaxed), 0);
    EXPECT_EQ(readers_.load(std::memory_order_relaxed), 0);
    ++a_;
    std::this_thread::yield();  // give the others a chance to come in wrongly
    ++b_;
    writers_.fetch_sub(1, std::memory_order_relaxed);
  }
  void read() {
    readers_.fetch_add(1, std::memory_order_relaxed);
    EXPECT_EQ(writers_.load(std::memory_order_relaxed), 0);
    EXPECT_EQ(a_, b_);
    readers_.fetch_sub(1, std::memory_order_relaxed);
  }

  rw_semaphore sem_;
  std::atomic<int> readers_ = 0;
  std::atomic<int> writers_ = 0;
  long a_ = 0;  // plain: only the lock orders their uses
  long b_ = 0;
};

TEST(RwSemaphore, NeverHasAWriterBesideAnybodyElse) {
  crowd{}.run(4);
}

// Rounds in which each thread takes and leaves it once, at about the same time, and then
// waits for the others: nobody comes by later who would wake the one that was forgotten.
void take_and_leave(rw_semaphore& sem, std::mt19937& random) NO_THREAD_SAFETY_ANALYSIS {
  const auto what = random() % 8;
  const auto linger = [&random] {  // from nothing to beyond the spin before a sleep
    for (auto i = random() % 2'000; i > 0; --i)
      std::atomic_signal_fence(std::memory_order_seq_cst);
  };
  linger();
  if (what < 4) {
    sem.lock_shared();
    linger();
    sem.unlock_shared();
    return;
  }
  sem.lock();
  linger();
  if (what == 4) {
    sem.downgrade();
    sem.unlock_shared();
  } else {
    sem.unlock();
  }
}

class RwSemaphoreRounds : public testing::TestWithParam<unsigned> {};

TEST_P(RwSemaphoreRounds, ForgetNobody) {
  rw_semaphore sem;
  std::barrier round_begins{GetParam()};
  std::vector<std::jthread> workers;
  for (unsigned seed = 1; seed <= GetParam(); ++seed)
    workers.emplace_back([&, seed] {
      std::mt19937 random{seed};
      for (int round = 0; round < 3 * rounds; ++round) {
        round_begins.arrive_and_wait();
        take_and_leave(sem, random);
      }
    });
}

INSTANTIATE_TEST_SUITE_P(Threads, RwSemaphoreRounds, testing::Values(2U, 3U, 5U));

TEST(RwSemaphoreDeathTest, ReleaseOfWhatIsNotHeldAborts) {
  rw_semaphore sem;
  EXPECT_DEATH(unlock(sem),
               "release of a write hold that nobody has: rw_semaphore at 0x");
  EXPECT_DEATH(unlock_shared(sem), "release of a read hold that nobody has: rw_sem");
  EXPECT_DEATH(downgrade(sem), "downgrade of a write hold that nobody has");
  lock_shared(sem);
  EXPECT_DEATH(unlock(sem), "release of a write hold that nobody has");
  unlock_shared(sem);
}

TEST(RwSemaphoreDeathTest, DestroyingAHeldOneAborts) {
  EXPECT_DEATH(
      {
        rw_semaphore sem;
        lock_shared(sem);
      },
      "destroyed while held or waited for: rw_semaphore at 0x");
}

}  // namespace
}  // namespace memhp
