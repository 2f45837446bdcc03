// Who passes whom at a percpu_rw_semaphore, counted in sections, never in time: the
// threads are brought into the worst order first, and then let go.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "locks/guards.h"
#include "locks/percpu_rwsem.h"
#include "tests/locks/eventually.h"

namespace memhp {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int rounds = 10;
#else
constexpr int rounds = 100;
#endif

// Outside of the analysis: holds that a test gives back step by step.
void lock_shared(percpu_rw_semaphore& lock) NO_THREAD_SAFETY_ANALYSIS {
  lock.lock_shared();
}
void unlock_shared(percpu_rw_semaphore& lock) NO_THREAD_SAFETY_ANALYSIS {
  lock.unlock_shared();
}

void wait_until(const auto& condition) {
  while (!condition()) std::this_thread::yield();
}

// Two writers that come back as soon as they have left. While `parked`, whoever is inside
// stays there.
class two_writers {
 public:
  explicit two_writers(percpu_rw_semaphore& lock) : lock_{lock} {
    for (int n = 0; n < 2; ++n) threads_.emplace_back([this] { write_and_write(); });
  }
  ~two_writers() {
    done_ = true;
    parked_ = false;
  }

  // One of them is inside and stays, and the other has queued.
  bool park() {
    parked_ = true;
    return eventually([this] { return stays_inside_ && lock_.waiters() == 1; });
  }
  void go_on() { parked_ = false; }
  long sections() const { return sections_; }

 private:
  void write_and_write() {
    while (!done_) {
      guard hold{lock_};
      ++sections_;
      if (!parked_) continue;
      stays_inside_ = true;
      wait_until([this] { return !parked_; });
      stays_inside_ = false;
    }
  }

  percpu_rw_semaphore& lock_;
  std::atomic<long> sections_ = 0;
  std::atomic<bool> parked_ = false;
  std::atomic<bool> stays_inside_ = false;
  std::atomic<bool> done_ = false;
  std::vector<std::jthread> threads_;
};

// The bound begins when the reader queues; before, it may watch the closed gate a moment.
TEST(PercpuRwsemFairness, AReaderWaitsForTwoSectionsOfWritersBackToBackAtMost) {
  percpu_rw_semaphore lock;
  two_writers writers{lock};
  for (int round = 0; round < rounds; ++round) {
    ASSERT_TRUE(writers.park());
    std::atomic<long> at_entry = 0;
    std::jthread reader{[&] {
      read_guard hold{lock};
      at_entry = writers.sections();
    }};
    // Behind the writer that is inside and the one that waits: the worst place there is.
    const bool queued = eventually([&] { return lock.waiters() == 2; });
    const long at_queueing = writers.sections();
    writers.go_on();
    reader.join();
    ASSERT_TRUE(queued);
    // One section was under way already.
    EXPECT_LE(1 + at_entry - at_queueing, 2);
  }
}

TEST(PercpuRwsemFairness, WritersWhoComeAfterAReaderHasQueuedWaitForIt) {
  percpu_rw_semaphore lock;
  std::atomic<int> written = 0;
  std::vector<std::jthread> threads;
  {
    guard hold{lock};
    threads.emplace_back([&] {
      read_guard reading{lock};
      EXPECT_EQ(written, 0);
    });
    EXPECT_TRUE(eventually([&] { return lock.waiters() == 1; }));
    for (unsigned waiters = 2; waiters <= 3; ++waiters) {
      threads.emplace_back([&] {
        guard writing{lock};
        ++written;
      });
      EXPECT_TRUE(eventually([&] { return lock.waiters() == waiters; }));
    }
  }
}

TEST(PercpuRwsemFairness, AWriterWaitsForTheReadersThatAreInAndForNoOthers) {
  percpu_rw_semaphore lock;
  std::atomic<int> later = 0;
  std::atomic<bool> written = false;
  lock_shared(lock);
  std::thread{[&] { lock_shared(lock); }}.join();  // overlaps: its hold stays
  std::jthread writer{[&] {
    guard hold{lock};
    EXPECT_EQ(later, 0);
    written = true;
  }};
  EXPECT_TRUE(eventually([&] { return lock.is_write_locked(); }));
  std::vector<std::jthread> readers;
  for (unsigned n = 1; n <= 2; ++n) {
    readers.emplace_back([&] {
      read_guard hold{lock};
      EXPECT_TRUE(written);
      ++later;
    });
    EXPECT_TRUE(eventually([&] { return lock.waiters() == n; }));
  }
  unlock_shared(lock);
  EXPECT_FALSE(written);  // one is in still
  unlock_shared(lock);    // the longest section has ended, and nothing else has to
  writer.join();
  readers.clear();
  EXPECT_EQ(later, 2);
}

// Readers of which one is always inside: each leaves only when another is there, or when
// a writer has closed the gate. But for the gate no writer would ever get in.
class relay {
 public:
  static constexpr int readers = 3;

  explicit relay(percpu_rw_semaphore& lock) : lock_{lock} {
    for (auto& entered : entered_)
      threads_.emplace_back([this, &entered] { read_and_read(entered); });
  }
  ~relay() { done_ = true; }

  long sections() const { return std::accumulate(entered_.begin(), entered_.end(), 0L); }

 private:
  void read_and_read(std::atomic<long>& entered) {
    while (!done_) {
      read_guard hold{lock_};
      ++entered;
      ++inside_;
      wait_until([this] { return counts_out(); });
    }
  }
  bool counts_out() {
    int seen = inside_;
    while (seen >= 2 || done_ || lock_.is_write_locked())
      if (inside_.compare_exchange_weak(seen, seen - 1)) return true;
    return false;
  }

  percpu_rw_semaphore& lock_;
  std::array<std::atomic<long>, readers> entered_{};
  std::atomic<int> inside_ = 0;
  std::atomic<bool> done_ = false;
  std::vector<std::jthread> threads_;
};

// A reader that had come in when the gate closed may not have counted itself yet: one
// section of each.
void write_beside_a_relay(percpu_rw_semaphore& lock) {
  relay crowd{lock};
  ASSERT_TRUE(eventually([&] { return crowd.sections() > 0; }));
  for (int round = 0; round < rounds; ++round) {
    std::atomic<bool> counted = false;
    long at_entry = 0;
    std::jthread writer{[&] {
      guard hold{lock};
      at_entry = crowd.sections();
      wait_until([&] { return counted.load(); });
    }};
    const bool closed = eventually([&] { return lock.is_write_locked(); });
    const long after_closing = crowd.sections();
    counted = true;
    writer.join();
    ASSERT_TRUE(closed);
    EXPECT_LE(at_entry - after_closing, relay::readers);
  }
}

TEST(PercpuRwsemFairness, ReadersThatOverlapDoNotStarveAWriter) {
  percpu_rw_semaphore lock;
  write_beside_a_relay(lock);
}

TEST(PercpuRwsemFairness, ReadersThatOverlapDoNotStarveAWriterInABurst) {
  percpu_rw_semaphore lock;
  const percpu_rw_semaphore::burst many{lock};
  write_beside_a_relay(lock);
}

}  // namespace
}  // namespace memhp
