// Whoever waits at a percpu_rw_semaphore gives up its CPU before it sleeps: the one it
// waits for may have been preempted by it. sched_yield() is replaced in this program, so
// that a yield is the moment at which that one goes on.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "locks/futex.h"
#include "locks/guards.h"
#include "locks/percpu_rwsem.h"
#include "tests/locks/eventually.h"
#include "tests/locks/sleeper.h"

namespace {
// What a yield of this thread does instead.
thread_local const std::function<void()>* on_yield = nullptr;
}  // namespace

extern "C" int sched_yield() noexcept {
  if (on_yield == nullptr) return static_cast<int>(syscall(SYS_sched_yield));
  (*on_yield)();
  return 0;
}

namespace memhp {
namespace {

class PercpuRwSemaphoreYields : public testing::Test {
 protected:
  void SetUp() override {
    if (spin_limit() == 0) GTEST_SKIP() << "one CPU, or nobody spins: there is no yield";
  }

  percpu_rw_semaphore lock;
};

// One hold, taken by a thread of its own and kept until it is told.
template <class Guard>
class holder {
 public:
  explicit holder(percpu_rw_semaphore& lock)
      : thread_{[this, &lock] {
          const Guard hold{lock};
          holds_ = true;
          told_ = eventually([this] { return leave_.load(); });
        }} {
    EXPECT_TRUE(eventually([this] { return holds_.load(); }));
  }
  // Back when the lock is given back. False if it was not told in time.
  bool leaves() {
    leave_ = true;
    thread_.join();
    return told_;
  }

 private:
  std::atomic<bool> holds_ = false;
  std::atomic<bool> leave_ = false;
  bool told_ = false;
  std::jthread thread_;  // the last member: it uses the others
};

// A writer waits for a reader, and its yields do not bring that one to an end.
void let_a_writer_sleep(percpu_rw_semaphore& lock, const std::function<void()>& yield) {
  holder<read_guard<percpu_rw_semaphore>> reader{lock};
  sleeper writer{[&] {
    on_yield = &yield;
    const guard hold{lock};
  }};
  EXPECT_TRUE(writer.falls_asleep());
  EXPECT_TRUE(reader.leaves());
  writer.join();
}

TEST_F(PercpuRwSemaphoreYields, AWriterGivesItsCpuToTheReaderItWaitsFor) {
  holder<read_guard<percpu_rw_semaphore>> reader{lock};
  int yields = 0;
  const std::function<void()> let_it_go = [&] {
    ++yields;
    EXPECT_TRUE(reader.leaves());
  };
  on_yield = &let_it_go;
  {
    const guard hold{lock};
  }
  on_yield = nullptr;
  EXPECT_EQ(yields, 1);
}

TEST_F(PercpuRwSemaphoreYields, AReaderGivesItsCpuToTheWriterItWaitsFor) {
  holder<guard<percpu_rw_semaphore>> writer{lock};
  int yields = 0;
  const std::function<void()> let_it_go = [&] {
    ++yields;
    EXPECT_TRUE(writer.leaves());
  };
  on_yield = &let_it_go;
  {
    const read_guard hold{lock};
  }
  on_yield = nullptr;
  EXPECT_EQ(yields, 1);
}

// Writers that pass the lock on and yield would need a switch for each section.
TEST_F(PercpuRwSemaphoreYields, AWriterInTheQueueSleepsAtOnce) {
  holder<guard<percpu_rw_semaphore>> first{lock};
  std::atomic<int> yields = 0;
  const std::function<void()> count = [&] { ++yields; };
  sleeper second{[&] {
    on_yield = &count;
    const guard hold{lock};
  }};
  EXPECT_TRUE(second.falls_asleep());
  EXPECT_EQ(yields, 0);
  EXPECT_TRUE(first.leaves());
  second.join();
}

TEST_F(PercpuRwSemaphoreYields, AWriterThatYieldsInVainSleeps) {
  let_a_writer_sleep(lock, [] {});
}

// A stranger on the same CPU makes yields long. Whoever sleeps is woken before it.
TEST_F(PercpuRwSemaphoreYields, AfterALongYieldTheNextWaitsSleepAtOnce) {
  std::atomic<int> yields = 0;
  const std::function<void()> a_strangers_turn = [&] {
    ++yields;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{2};
    while (std::chrono::steady_clock::now() < end) {  // awake: who sleeps is looked for
    }
  };
  let_a_writer_sleep(lock, a_strangers_turn);
  EXPECT_EQ(yields, 1);
  for (int n = 0; n < 10; ++n) let_a_writer_sleep(lock, a_strangers_turn);
  EXPECT_EQ(yields, 1);
  // Not for ever: the stranger goes away some time.
  for (int n = 0; n < 100 && yields == 1; ++n) let_a_writer_sleep(lock, a_strangers_turn);
  EXPECT_EQ(yields, 2);
}

}  // namespace
}  // namespace memhp
