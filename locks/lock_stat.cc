#include "locks/lock_stat.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <bit>
#include <ctime>
#include <memory>
#include <mutex>
#include <span>

#include "locks/class_table.h"
#include "locks/execution.h"

namespace memhp {
namespace {

using lock_stat::hold_mode;
using counter = std::atomic<std::uint64_t>;

// Counters have one writer, their thread: a load and a store, no locked instruction.
void add(counter& to, std::uint64_t what) {
  to.store(to.load(std::memory_order_relaxed) + what, std::memory_order_relaxed);
}
std::uint64_t value(const counter& of) {
  return of.load(std::memory_order_relaxed);
}

// lock_times that one thread writes while others read.
struct time_counters {
  counter nr = 0;
  counter total_ns = 0;
  counter min_ns = UINT64_MAX;
  counter max_ns = 0;
  std::array<counter, lock_times::buckets> histogram{};

  void count(std::uint64_t ns) {
    add(nr, 1);
    add(total_ns, ns);
    if (ns < value(min_ns)) min_ns.store(ns, std::memory_order_relaxed);
    if (ns > value(max_ns)) max_ns.store(ns, std::memory_order_relaxed);
    add(histogram[lock_times::bucket_of(ns)], 1);
  }
  void clear() {
    for (counter* each : {&nr, &total_ns, &max_ns})
      each->store(0, std::memory_order_relaxed);
    min_ns.store(UINT64_MAX, std::memory_order_relaxed);
    for (counter& bucket : histogram) bucket.store(0, std::memory_order_relaxed);
  }
  lock_times read() const {
    lock_times times{.nr = value(nr),
                     .total_ns = value(total_ns),
                     .min_ns = value(min_ns),
                     .max_ns = value(max_ns)};
    if (times.min_ns == UINT64_MAX) times.min_ns = 0;
    for (std::size_t i = 0; i < histogram.size(); ++i)
      times.histogram[i] = value(histogram[i]);
    return times;
  }
};

struct side_counters {
  time_counters wait;
  time_counters hold;
  counter contended_bounces = 0;
  counter acquired_bounces = 0;

  void clear() {
    wait.clear();
    hold.clear();
    contended_bounces.store(0, std::memory_order_relaxed);
    acquired_bounces.store(0, std::memory_order_relaxed);
  }
  lock_class_stats::side read() const {
    return {.wait = wait.read(),
            .hold = hold.read(),
            .contended_bounces = value(contended_bounces),
            .acquired_bounces = value(acquired_bounces)};
  }
};

// reset() starts a new era; counters of an older one are stale. Only the owner clears
// its counters, when it next uses them, so that nobody else ever writes them.
std::atomic<std::uint32_t> current_era = 1;

// One thread's figures of one class.
struct class_counters {
  std::atomic<std::uint32_t> era = 0;
  side_counters write;
  side_counters read;

  side_counters& of(hold_mode mode) { return mode == hold_mode::read ? read : write; }

  void freshen() {
    const std::uint32_t now = current_era.load(std::memory_order_relaxed);
    if (era.load(std::memory_order_relaxed) == now) return;
    write.clear();
    read.clear();
    // A pairs with B in read_stats(): who sees the new era sees zeros or what was counted
    // since. Otherwise a reader would add the old era's counts to the new one's.
    era.store(now, std::memory_order_release);  // A
  }
  lock_class_stats read_stats() const {
    if (era.load(std::memory_order_acquire) !=  // B
        current_era.load(std::memory_order_relaxed))
      return {};
    return {.write = write.read(),
            .read = read.read(),
            .contention_points = {},
            .contending_points = {}};
  }
};

// Four addresses and how often each was seen. Any thread counts, in the order in which
// they come; a fifth address is not counted, as in the kernel.
struct point_counters {
  std::array<std::atomic<const void*>, lock_class_stats::max_points> ip{};
  std::array<counter, lock_class_stats::max_points> count{};

  void hit(const void* at) {
    if (at == nullptr) return;
    for (std::size_t i = 0; i < ip.size(); ++i) {
      const void* there = nullptr;
      if (ip[i].load(std::memory_order_relaxed) == at ||
          ip[i].compare_exchange_strong(there, at, std::memory_order_relaxed) ||
          there == at) {
        count[i].fetch_add(1, std::memory_order_relaxed);
        return;
      }
    }
  }
  void clear() {
    for (auto& each : ip) each.store(nullptr, std::memory_order_relaxed);
    for (counter& each : count) each.store(0, std::memory_order_relaxed);
  }
  std::vector<contention_point> read() const {
    std::vector<contention_point> points;
    for (std::size_t i = 0; i < ip.size(); ++i)
      if (const void* at = ip[i].load(std::memory_order_relaxed))
        points.push_back({.ip = at, .count = value(count[i])});
    return points;
  }
};

struct class_points {
  point_counters contention;
  point_counters contending;
};

template <class Entry>
using by_class = class_table<Entry, lock_stat::max_classes>;

using thread_counters = by_class<class_counters>;

// All threads' counters. Never destroyed: threads may still count while the process ends.
struct registry {
  std::mutex mutex;
  std::vector<thread_counters*> threads;  // guarded by mutex
  by_class<lock_class_stats> retired;     // of ended threads; entries guarded by mutex
  std::uint32_t retired_era = 1;          // guarded by mutex
  std::uint32_t classes = 0;              // above the largest retired one; by mutex
  by_class<class_points> points;          // synchronizes itself

  static registry& get() {
    static registry& only = *[] {
      // A child must not inherit a mutex that a thread it does not have holds.
      pthread_atfork([] { get().mutex.lock(); }, [] { get().mutex.unlock(); },
                     [] { get().mutex.unlock(); });
      return new registry;
    }();
    return only;
  }

  // With the mutex held: adds figures of a thread that has ended.
  void retire(std::uint32_t lock_class, const lock_class_stats& stats) {
    drop_stale_retired();
    retired.make(lock_class).merge(stats);
    classes = std::max(classes, lock_class + 1);
  }
  void drop_stale_retired() {
    const std::uint32_t now = current_era.load(std::memory_order_relaxed);
    if (retired_era == now) return;
    retired_era = now;
    for (std::uint32_t i = 0; i < classes; ++i)
      if (lock_class_stats* stats = retired.find(i)) *stats = {};
  }
};

// A thread's counters, registered while it lives.
class thread_registration {
 public:
  thread_registration() {
    registry& all = registry::get();
    const std::lock_guard hold{all.mutex};
    all.threads.push_back(counters_.get());
  }
  thread_registration(const thread_registration&) = delete;
  thread_registration& operator=(const thread_registration&) = delete;
  ~thread_registration();

  thread_counters& counters() { return *counters_; }
  void used(std::uint32_t lock_class) {
    if (lock_class >= classes_) classes_ = lock_class + 1;
  }

 private:
  std::unique_ptr<thread_counters> counters_ = std::make_unique<thread_counters>();
  std::uint32_t classes_ = 0;  // above the largest class used
};

// Trivially destroyed, so that it answers after the registration is gone: destructors of
// other thread_locals take locks too.
thread_local thread_registration* this_thread = nullptr;
thread_local bool this_thread_ended = false;

thread_registration::~thread_registration() {
  this_thread = nullptr;
  this_thread_ended = true;
  registry& all = registry::get();
  const std::lock_guard hold{all.mutex};
  std::erase(all.threads, counters_.get());
  for (std::uint32_t i = 0; i < classes_; ++i)
    if (const class_counters* counters = counters_->find(i))
      all.retire(i, counters->read_stats());
}

thread_registration& register_thread() {
  thread_local thread_registration registration;
  this_thread = &registration;
  return registration;
}

// Calls count(counters of this thread and class). An ending thread counts into a table of
// its own that is retired at once.
template <class Count>
void with_counters(std::uint32_t lock_class, Count count) {
  if (lock_class >= lock_stat::max_classes) return;
  if (this_thread_ended) {
    const auto last = std::make_unique<class_counters>();
    last->freshen();
    count(*last);
    registry& all = registry::get();
    const std::lock_guard hold{all.mutex};
    all.retire(lock_class, last->read_stats());
    return;
  }
  thread_registration& self = this_thread != nullptr ? *this_thread : register_thread();
  class_counters& counters = self.counters().make(lock_class);
  self.used(lock_class);
  counters.freshen();
  count(counters);
}

std::uint64_t monotonic_ns() {
  if (controlled != nullptr) return controlled->now();
  struct timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  constexpr std::uint64_t second = 1'000'000'000;
  return static_cast<std::uint64_t>(time.tv_sec) * second +
         static_cast<std::uint64_t>(time.tv_nsec);
}

std::atomic<lock_stat::clock_fn> the_clock = monotonic_ns;

}  // namespace

std::size_t lock_times::bucket_of(std::uint64_t ns) {
  const auto log2 = static_cast<std::size_t>(std::bit_width(ns | 1) - 1);
  return std::min(log2, buckets - 1);
}

void lock_times::merge(const lock_times& other) {
  if (other.nr == 0) return;
  min_ns = nr == 0 ? other.min_ns : std::min(min_ns, other.min_ns);
  max_ns = std::max(max_ns, other.max_ns);
  nr += other.nr;
  total_ns += other.total_ns;
  for (std::size_t i = 0; i < buckets; ++i) histogram[i] += other.histogram[i];
}

void lock_class_stats::merge(const lock_class_stats& other) {
  const auto merge_side = [](side& to, const side& from) {
    to.wait.merge(from.wait);
    to.hold.merge(from.hold);
    to.contended_bounces += from.contended_bounces;
    to.acquired_bounces += from.acquired_bounces;
  };
  merge_side(write, other.write);
  merge_side(read, other.read);
}

int lock_cpu::here() {
  return controlled == nullptr ? sched_getcpu() : controlled->cpu();
}

namespace lock_stat {

std::atomic<bool> enabled = false;

void set_on(bool on) {
  enabled.store(on, std::memory_order_relaxed);
}

void reset() {
  current_era.fetch_add(1, std::memory_order_relaxed);
  registry& all = registry::get();
  for (std::uint32_t i = 0; i < max_classes; ++i)
    if (class_points* points = all.points.find(i)) {
      points->contention.clear();
      points->contending.clear();
    }
}

void set_clock(clock_fn clock) {
  the_clock = clock != nullptr ? clock : monotonic_ns;
}

std::uint64_t now() {
  return the_clock.load(std::memory_order_relaxed)();
}

void contended(std::uint32_t lock_class, hold_mode mode, const void* ip,
               const void* holder_ip, bool bounced) {
  if (lock_class >= max_classes) return;
  class_points& points = registry::get().points.make(lock_class);
  points.contention.hit(ip);
  points.contending.hit(holder_ip);
  if (!bounced) return;
  with_counters(lock_class, [&](class_counters& counters) {
    add(counters.of(mode).contended_bounces, 1);
  });
}

void acquired(std::uint32_t lock_class, hold_mode mode, std::uint64_t waited_ns,
              bool bounced) {
  if (waited_ns == did_not_wait && !bounced) return;
  with_counters(lock_class, [&](class_counters& counters) {
    side_counters& side = counters.of(mode);
    if (waited_ns != did_not_wait) side.wait.count(waited_ns);
    if (bounced) add(side.acquired_bounces, 1);
  });
}

void released(std::uint32_t lock_class, hold_mode mode, std::uint64_t held_ns) {
  with_counters(lock_class,
                [&](class_counters& counters) { counters.of(mode).hold.count(held_ns); });
}

lock_class_stats snapshot(std::uint32_t lock_class) {
  lock_class_stats sum;
  if (lock_class >= max_classes) return sum;
  registry& all = registry::get();
  const std::lock_guard hold{all.mutex};
  all.drop_stale_retired();
  if (const lock_class_stats* stats = all.retired.find(lock_class)) sum.merge(*stats);
  for (const thread_counters* thread : all.threads)
    if (const class_counters* counters = thread->find(lock_class))
      sum.merge(counters->read_stats());
  if (const class_points* points = all.points.find(lock_class)) {
    sum.contention_points = points->contention.read();
    sum.contending_points = points->contending.read();
  }
  return sum;
}

}  // namespace lock_stat
}  // namespace memhp
