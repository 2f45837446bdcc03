// tsan_reports CASE: makes one mistake with the locks, or none, under ThreadSanitizer,
// whose report is what the test looks for.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "locks/mutex.h"
#include "locks/percpu_rwsem.h"
#include "locks/rwsem.h"

namespace memhp {
namespace {

// Two threads, one after the other, so that it is an order and not a deadlock.
template <class First, class Second>
void both_orders(First& first, Second& second) NO_THREAD_SAFETY_ANALYSIS {
  std::thread{[&]() NO_THREAD_SAFETY_ANALYSIS {
    first.lock();
    second.lock();
    second.unlock();
    first.unlock();
  }}.join();
  std::thread{[&]() NO_THREAD_SAFETY_ANALYSIS {
    second.lock();
    first.lock();
    first.unlock();
    second.unlock();
  }}.join();
}

void mutexes() {
  mutex a, b;
  both_orders(a, b);
}

void writers() {
  rw_semaphore a;
  percpu_rw_semaphore b;
  both_orders(a, b);
}

// Also for what is read only on one side.
void readers() NO_THREAD_SAFETY_ANALYSIS {
  percpu_rw_semaphore a;
  rw_semaphore b;
  a.lock_shared();
  b.lock();
  b.unlock();
  a.unlock_shared();
  b.lock_shared();
  a.lock();
  a.unlock();
  b.unlock_shared();
}

void double_unlock() NO_THREAD_SAFETY_ANALYSIS {
  mutex m;
  m.lock();
  m.unlock();
  m.unlock();
}

void double_write_unlock() NO_THREAD_SAFETY_ANALYSIS {
  percpu_rw_semaphore sem;
  sem.lock();
  sem.unlock();
  sem.unlock();
}

void unlock_elsewhere() NO_THREAD_SAFETY_ANALYSIS {
  rw_semaphore sem;
  sem.lock();
  std::thread{[&]() NO_THREAD_SAFETY_ANALYSIS { sem.unlock(); }}.join();
}

void unheld_read_unlock() NO_THREAD_SAFETY_ANALYSIS {
  rw_semaphore sem;
  sem.lock();
  sem.unlock_shared();
}

int unguarded = 0;
void race() NO_THREAD_SAFETY_ANALYSIS {
  mutex m, other;
  std::thread first{[&]() NO_THREAD_SAFETY_ANALYSIS {
    m.lock();
    ++unguarded;
    m.unlock();
  }};
  other.lock();
  ++unguarded;
  other.unlock();
  first.join();
}

// What is right: orders that are always the same, a try against the order, a hold that is
// handed over, a downgrade, and data that each of the locks guards.
void nothing_wrong() NO_THREAD_SAFETY_ANALYSIS {
  mutex m;
  rw_semaphore rw;
  percpu_rw_semaphore percpu;
  int data = 0;
  const auto work = [&]() NO_THREAD_SAFETY_ANALYSIS {
    for (int i = 0; i < 200; ++i) {
      m.lock();
      rw.lock();
      percpu.lock();
      ++data;
      percpu.unlock();
      rw.downgrade();
      if (percpu.try_lock_shared()) {
        if (data < 0) std::puts("never");
        percpu.unlock_shared();
      }
      rw.unlock_shared();
      m.unlock();
      rw.lock_shared();
      if (m.try_lock()) {
        ++data;
        m.unlock();
      }
      rw.unlock_shared();
      if (m.try_lock()) {
        if (percpu.try_lock()) {
          ++data;
          percpu.unlock();
        }
        m.unlock();
      }
    }
  };
  std::thread one{work}, two{work};
  one.join();
  two.join();
  rw.lock();
  tsan_given_away(&rw);
  std::thread{[&]() NO_THREAD_SAFETY_ANALYSIS {
    tsan_taken_over(&rw);
    rw.unlock();
  }}.join();
}

const std::map<std::string, std::function<void()>> cases = {
    {"mutexes", mutexes},
    {"writers", writers},
    {"readers", readers},
    {"double_unlock", double_unlock},
    {"double_write_unlock", double_write_unlock},
    {"unlock_elsewhere", unlock_elsewhere},
    {"unheld_read_unlock", unheld_read_unlock},
    {"race", race},
    {"nothing_wrong", nothing_wrong},
};

}  // namespace
}  // namespace memhp

int main(int argc, char** argv) {
  const auto found = memhp::cases.find(argc == 2 ? argv[1] : "");
  if (found == memhp::cases.end()) return 2;
  // The locks' own complaint ends the program; a test tool would see only that.
  std::signal(SIGABRT, [](int) { _exit(1); });
  found->second();
  std::puts("end of the program");
  return 0;
}
