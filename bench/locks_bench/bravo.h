// BRAVO (Dice and Kogan, USENIX ATC 2019) over pthread_rwlock: readers of a biased lock
// publish themselves in one table of the process instead of counting themselves in the
// lock; a writer takes the bias away, waits for those in the table, and keeps it away
// for nine times as long as that took.
//
// Thread safety: any thread; a read hold ends on the thread that took it.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bench/locks_bench/contender.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace memhp::bench {

class bravo {
 public:
  static constexpr std::string_view name = "BRAVO over pthread_rwlock";
  static constexpr role part = role::rival;

  class session {
   public:
    explicit session(bravo& lock) : seat_{seat_for(lock)} {}

   private:
    friend class bravo;
    std::atomic<const bravo*>& seat_;  // this thread's for this lock
    bool seated_ = false;
  };

  ~bravo() { pthread_rwlock_destroy(&under_); }

  void read_lock(session& mine) {
    if (biased_.load(std::memory_order_relaxed)) {
      const bravo* free = nullptr;
      if (mine.seat_.compare_exchange_strong(free, this)) {
        // The exchange and this load, and the writer's store and scan, are seq_cst: the
        // writer finds us or we find the bias gone.
        mine.seated_ = biased_.load();
        if (mine.seated_) return;
        mine.seat_.store(nullptr, std::memory_order_release);
      }
    }
    pthread_rwlock_rdlock(&under_);
    if (!biased_.load(std::memory_order_relaxed) && ticks() >= inhibited_until_)
      biased_.store(true);
  }

  void read_unlock(session& mine) {
    if (!mine.seated_) {
      pthread_rwlock_unlock(&under_);
      return;
    }
    mine.seated_ = false;
    mine.seat_.store(nullptr, std::memory_order_release);
  }

  void write_lock(session& /*mine*/) {
    pthread_rwlock_wrlock(&under_);
    if (!biased_.load(std::memory_order_relaxed)) return;
    biased_.store(false);
    const std::uint64_t start = ticks();
    for (std::atomic<const bravo*>& seat : seats)
      while (seat.load() == this) pause();
    const std::uint64_t end = ticks();
    inhibited_until_ = end + (end - start) * slow_down;
  }

  void write_unlock(session& /*mine*/) { pthread_rwlock_unlock(&under_); }

 private:
  static constexpr std::size_t table_size = 4096;
  static constexpr std::uint64_t slow_down = 9;

  inline static std::array<std::atomic<const bravo*>, table_size> seats{};

  // A thread is known by the address of something of its own.
  static std::atomic<const bravo*>& seat_for(const bravo& lock) {
    static thread_local char here;
    auto mixed = reinterpret_cast<std::uintptr_t>(&here) ^
                 (reinterpret_cast<std::uintptr_t>(&lock) >> 7);
    mixed *= 0x9e3779b97f4a7c15;
    return seats[(mixed >> 32) % table_size];
  }

  static std::uint64_t ticks() {
#if defined(__x86_64__)
    return __rdtsc();
#else
    std::uint64_t now;
    asm volatile("mrs %0, cntvct_el0" : "=r"(now));
    return now;
#endif
  }
  static void pause() {
#if defined(__x86_64__)
    _mm_pause();
#else
    asm volatile("yield");
#endif
  }

  pthread_rwlock_t under_ = PTHREAD_RWLOCK_INITIALIZER;
  std::atomic<bool> biased_ = true;
  std::uint64_t inhibited_until_ = 0;  // written by writers, read by readers of under_
};

}  // namespace memhp::bench
