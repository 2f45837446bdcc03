// How long locks are waited for and held, by class: what /proc/lock_stat shows.
//
// Off, which is the default, costs whoever asks on() one relaxed load. On, each event is
// a few plain stores into memory of the calling thread alone, about what reading the
// clock costs; readers add the threads up. What a thread counted stays when it ends.
//
// Whoever tracks locks calls, with on() true:
//   contended()  before it waits;
//   acquired()   when it has the lock;
//   released()   when it gives it up.
// A class is a small number that the caller chooses, dense from 0: lockdep's index.
//
// Thread safety: every function may be called by any thread at any time, also by signal
// handlers except the first call of a thread. A reader sees each figure current, but no
// consistent cut through several. Counts that race with reset() may survive it or not.
// After fork() the child goes on with its parent's figures.
// Mirrors kernel/locking/lockdep.c under CONFIG_LOCK_STAT (6.1).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace memhp {

// Nanoseconds of one kind of event.
struct lock_times {
  // histogram[i] counts times of [2^i, 2^(i+1)) ns; the first one also 0, the last one
  // also all longer ones (from 9 minutes on).
  static constexpr std::size_t buckets = 40;

  std::uint64_t nr = 0;
  std::uint64_t total_ns = 0;
  std::uint64_t min_ns = 0;  // 0 if nr is
  std::uint64_t max_ns = 0;
  std::array<std::uint64_t, buckets> histogram{};

  std::uint64_t average_ns() const { return nr == 0 ? 0 : total_ns / nr; }
  void merge(const lock_times& other);
  static std::size_t bucket_of(std::uint64_t ns);

  friend bool operator==(const lock_times&, const lock_times&) = default;
};

// Where a lock was waited for, or held meanwhile.
struct contention_point {
  const void* ip = nullptr;
  std::uint64_t count = 0;

  friend bool operator==(const contention_point&, const contention_point&) = default;
};

struct lock_class_stats {
  // One of the two ways to hold a lock. A contention is a wait: wait.nr.
  struct side {
    lock_times wait;
    lock_times hold;
    std::uint64_t contended_bounces = 0;  // waits for a lock last taken on another CPU
    std::uint64_t acquired_bounces = 0;   // acquisitions of such a lock

    friend bool operator==(const side&, const side&) = default;
  };
  static constexpr std::size_t max_points = 4;

  side write;
  side read;
  std::vector<contention_point> contention_points;  // who waited; at most max_points
  std::vector<contention_point> contending_points;  // who had the lock meanwhile

  std::uint64_t contentions() const { return write.wait.nr + read.wait.nr; }
  void merge(const lock_class_stats& other);  // points excepted

  friend bool operator==(const lock_class_stats&, const lock_class_stats&) = default;
};

// The CPU that a lock was last taken on: a word in each tracked lock.
class lock_cpu {
 public:
  // Whether the calling thread's CPU is another one. A lock never taken is on no CPU.
  bool is_elsewhere() const {
    const int last = last_.load(std::memory_order_relaxed);
    return last != none && last != here();
  }
  // is_elsewhere(), and from now on it is here.
  bool move_here() {
    const int cpu = here();
    const int last = last_.load(std::memory_order_relaxed);
    // Written only when it changes: readers of one lock share the line.
    if (last != cpu) last_.store(cpu, std::memory_order_relaxed);
    return last != none && last != cpu;
  }

 private:
  static constexpr int none = -1;
  static int here();

  std::atomic<int> last_ = none;
};

namespace lock_stat {

enum class hold_mode : std::uint8_t { write, read };

// Classes from here on are not counted.
inline constexpr std::uint32_t max_classes = 65'536;
// For acquired() by somebody who found the lock free.
inline constexpr std::uint64_t did_not_wait = UINT64_MAX;

extern std::atomic<bool> enabled;  // for on()

// /proc/sys/kernel/lock_stat
inline bool on() {
  return enabled.load(std::memory_order_relaxed);
}
void set_on(bool on);

// Forgets all figures: what writing 0 to /proc/lock_stat does. O(classes).
void reset();

// Nanoseconds of the clock that times are taken with: the system's monotonic one, the
// virtual one of a controlled scheduler, or what set_clock() gave. A null pointer
// restores the former.
using clock_fn = std::uint64_t (*)();
void set_clock(clock_fn clock);
std::uint64_t now();

// A thread is about to wait. `ip` is who waits, `holder_ip` who has the lock, as far as
// known (null if not).
void contended(std::uint32_t lock_class, hold_mode mode, const void* ip,
               const void* holder_ip, bool bounced);
// A thread has the lock, after waiting for `waited_ns` or without.
void acquired(std::uint32_t lock_class, hold_mode mode, std::uint64_t waited_ns,
              bool bounced);
// A thread gives the lock up that it held for `held_ns`.
void released(std::uint32_t lock_class, hold_mode mode, std::uint64_t held_ns);

// The sum over all threads, living and dead. O(threads).
lock_class_stats snapshot(std::uint32_t lock_class);

}  // namespace lock_stat
}  // namespace memhp
