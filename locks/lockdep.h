// The lock validator: finds orders of locks that can deadlock, before they do.
//
// Every lock tells it when it is taken and given back. It keeps what the current task
// holds, learns which class was wanted under which, and reports when a new order closes a
// cycle - also if the threads that could deadlock never met. What is not a lock but is
// waited for (an active reference, a flush, a completion) tells it with the same calls.
//
//   lock_class_key key{"config_lock"};            // static: the class
//   dep_map map{key};                             // in the lock
//   lockdep::acquire(map, {});                    // before waiting for it
//   lockdep::acquired(map);                       // has it; only lock_stat listens
//   lockdep::release(map);                        // before giving it up
//
// Thread safety: every function may be called by any thread. A dep_map belongs to one
// lock and may be used by several threads at once.
// Rules, as in the kernel:
//   1. A lock is told before it is waited for, so that the report comes out even if the
//      wait never ends. A trylock is told after it succeeded. A release is told before.
//   2. A trylock never waits: nothing leads to it. But while it is held, what is wanted
//      then depends on it.
//   3. A nesting that was seen once is not looked at again.
//   4. What is wanted depends on the lock that was taken last, and on those before it
//      down to the first that was waited for, through which the rest is connected.
//   5. One new dependency that closes several cycles is reported once, with the shortest
//      of them that was not reported before.
// Unlike the kernel's:
//   * a report does not switch it off, and its tables grow;
//   * rule 4 does not end at a lock that is held as a recursive read, because nothing is
//     connected through that one. The kernel's does, since 5.10, and misses "A, then B to
//     read recursively, then C" against "C, then A". Both pass over a lock that is not
//     validated;
//   * a bad unlock and a held lock that is freed are told with the task that holds it;
//   * there are no interrupts: usage is that of process context, and wait types are
//     printed, never checked.
//
// Cost while on: a nesting seen before costs one look into a table of the thread, without
// shared writes or locked instructions. A new one takes an internal mutex and may search
// the graph. While off: one relaxed load and a branch.
//
// Mirrors kernel/locking/lockdep.c and include/linux/lockdep.h (6.1).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "locks/lock_class.h"
#include "locks/lock_stat.h"
#include "locks/lockdep_report.h"
#include "locks/proc_files.h"

namespace memhp {

// How often a lock is held, as far as is known.
struct known_holds {
  unsigned reads = 0;
  unsigned writes = 0;
};

// A lock as the validator sees it (struct lockdep_map).
class dep_map {
 public:
  // Of a static key's class. The key must outlive everything.
  explicit constexpr dep_map(const lock_class_key& key) : key_{&key}, like_{key} {}
  // Of a class that `identity` and the name stand for, e.g. the attribute that a file was
  // made from; named and typed like `like`, whose name must outlive it.
  constexpr dep_map(const void* identity, const lock_class_key& like)
      : key_{identity}, like_{like} {}
  constexpr dep_map(const void* identity, std::string_view name, bool validated = true)
      : dep_map{identity,
                lock_class_key{.name = name,
                               .validation = validated ? lock_validation::on
                                                       : lock_validation::off}} {}
  // Tells the validator if it dies held. A copy would be another lock.
  ~dep_map() { (void)check_freed(this, sizeof(*this)); }
  dep_map(const dep_map&) = delete;
  dep_map& operator=(const dep_map&) = delete;

  // debug_check_no_locks_freed(): the memory of a lock goes, and this with it. Reports
  // it, once, if the lock is held. Returns the holds that were reported: if all goes on
  // in spite of that, whoever owns the lock gives them back.
  [[gnu::always_inline]] known_holds check_freed(const void* begin, std::size_t size) {
    if (classes_[0].load(std::memory_order_relaxed) == nullptr) [[likely]]
      return {};
    return freed(begin, size);
  }

  // The class of an acquisition with this subclass. After the first call for subclass 0
  // or 1 a load.
  lock_class& class_of(unsigned subclass = 0) const {
    lock_class* const known = known_class(subclass);
    return known != nullptr ? *known : look_up(subclass);
  }
  // The same, or null if it takes more than a load.
  lock_class* known_class(unsigned subclass) const {
    // A pairs with B in look_up(): the class is seen complete.
    return subclass < cached ? classes_[subclass].load(std::memory_order_acquire)
                             : nullptr;
  }
  std::string_view name() const { return like_.name; }

 private:
  friend struct stat_access;
  // As many as the kernel's NR_LOCKDEP_CACHING_CLASSES; the others are searched for.
  static constexpr unsigned cached = 2;

  lock_class& look_up(unsigned subclass) const;
  known_holds freed(const void* begin, std::size_t size);

  const void* const key_;
  const lock_class_key like_;
  mutable std::atomic<lock_class*> classes_[cached] = {};  // [0] null: never acquired
  // For lock_stat: who had the lock last, and on which CPU.
  std::atomic<const void*> last_ip_ = nullptr;
  lock_cpu last_cpu_;
};

namespace lockdep {

// How a lock is taken.
struct how {
  read_kind read = read_kind::write;
  bool trylock = false;
  bool only_waited_for = false;   // given back at once, nothing happens under it
  unsigned subclass = 0;          // for a nesting within one class that is in order
  const dep_map* nest = nullptr;  // held: who holds it may take many of one class
  const void* ip = nullptr;       // where it is taken; the caller's if null
};

namespace detail {
struct task;
class own_task;

// What is on: 0 if nothing is, else an epoch with the bits below. One word, so that
// whoever takes a lock loads once.
inline constexpr std::uint64_t prove_bit = 1;   // the validator
inline constexpr std::uint64_t stat_bit = 2;    // lock_stat
inline constexpr std::uint64_t listen_bit = 4;  // a listener
inline constexpr std::uint64_t mode_bits = prove_bit | stat_bit | listen_bit;
inline constexpr unsigned epoch_shift = 3;
inline constinit std::atomic<std::uint64_t> mode = 0;

// How, in one word: what distinguishes chains, and with it what a new one has to check.
inline constexpr unsigned read_bits = 3;
inline constexpr unsigned trylock_bit = 4;
inline constexpr unsigned nest_bit = 8;
inline constexpr unsigned waited_bit = 16;
constexpr unsigned flags_of(const how& how) {
  return static_cast<unsigned>(how.read) | (how.trylock ? trylock_bit : 0) |
         (how.nest != nullptr ? nest_bit : 0) | (how.only_waited_for ? waited_bit : 0);
}

void acquire_on(dep_map& map, unsigned flags, unsigned subclass, const dep_map* nest,
                const void* ip);
bool release_on(dep_map& map, const void* ip);
void contended_on(dep_map& map, std::uint64_t since);
void acquired_on(dep_map& map);
void tell_before(const dep_map& map);
void tell_failed(const dep_map& map);
}  // namespace detail

inline bool on() {
  return (detail::mode.load(std::memory_order_relaxed) & detail::prove_bit) != 0;
}
// To be switched while nobody holds a lock: what was taken before is not known, and its
// release is reported. Off at start.
void set_on(bool on);
// Switches lock_stat (with lock_stat::set_on()), with or without the validator; also
// while locks are held: what was taken before is not counted.
void set_lock_stat(bool on);

[[gnu::always_inline]] inline void acquire(dep_map& map, const how& how) {
  if (detail::mode.load(std::memory_order_relaxed) != 0) [[unlikely]]
    detail::acquire_on(map, detail::flags_of(how), how.subclass, how.nest, how.ip);
}
// The innermost acquisition of the lock by the current task. Releases may come in any
// order. A task that does not hold it is reported; false if nobody else seems to hold it
// either, and there is nothing to give back.
[[gnu::always_inline]] inline bool release(dep_map& map, const void* ip = nullptr) {
  if (detail::mode.load(std::memory_order_relaxed) != 0) [[unlikely]]
    return detail::release_on(map, ip);
  return true;
}
// The same report, for a lock that knows by itself that the task does not hold it. False
// if the validator does not look.
bool report_bad_unlock(const dep_map& map, const void* ip);
// Whether lock_stat wants to hear of waits and holds.
inline bool counting() {
  return (detail::mode.load(std::memory_order_relaxed) & detail::stat_bit) != 0;
}
// For lock_stat, both between acquire() and release(): the task must wait for the lock,
// from now on or since a time of lock_stat's clock that is over; the task has it.
[[gnu::always_inline]] inline void contended(dep_map& map, std::uint64_t since = 0) {
  if ((detail::mode.load(std::memory_order_relaxed) & detail::stat_bit) != 0) [[unlikely]]
    detail::contended_on(map, since);
}
[[gnu::always_inline]] inline void acquired(dep_map& map) {
  if ((detail::mode.load(std::memory_order_relaxed) & detail::stat_bit) != 0) [[unlikely]]
    detail::acquired_on(map);
}
// Hears of locks before they are taken: for who makes an interleaving happen. Called by
// the task itself, which waits as long as the call does. It takes no tracked lock.
class listener {
 public:
  // The task is about to take it, or to try to.
  virtual void before(const dep_map& map) = 0;
  // It tried, and did not get it.
  virtual void failed(const dep_map& map) = 0;

 protected:
  ~listener() = default;
};
// Null: nobody. While no other thread takes a lock.
void set_listener(listener* wanted);
// Around a trylock.
[[gnu::always_inline]] inline void about_to_try(const dep_map& map) {
  if ((detail::mode.load(std::memory_order_relaxed) & detail::listen_bit) != 0)
      [[unlikely]]
    detail::tell_before(map);
}
[[gnu::always_inline]] inline void try_failed(const dep_map& map) {
  if ((detail::mode.load(std::memory_order_relaxed) & detail::listen_bit) != 0)
      [[unlikely]]
    detail::tell_failed(map);
}
// Something that is waited for but never held: the wait is an acquire and a release
// (lock_map_acquire(); lock_map_release() around flushes).
void wait_for(dep_map& map);

// What one task holds. A thread has one of its own; who runs several tasks on one thread
// (fibers) gives each its own and says which is current.
//
// Thread safety: a task is current on one thread at a time. It must not die while it is
// current, except a thread's own. One that dies holding locks is reported, and so is a
// thread that ends with locks of its own, whichever task is current then.
class task_state {
 public:
  // comm and pid, as reports print them.
  explicit task_state(std::string name, int pid = 0);
  ~task_state();
  task_state(const task_state&) = delete;
  task_state& operator=(const task_state&) = delete;

  // How many locks it holds.
  std::size_t depth() const;

 private:
  friend task_state* set_current(task_state* task);
  friend task_state& current();
  friend class detail::own_task;
  explicit task_state(detail::task& own);  // of a thread

  detail::task* const task_;
};

// The current task's state; that of the thread if nobody said otherwise.
task_state& current();
// Makes `task` the current one of this thread; null: the thread's own. Returns the
// former.
task_state* set_current(task_state* task);

// Whether the current task holds it; in any way, or as asked. True while off: nothing is
// known then.
enum class hold : std::uint8_t { any, write, read };
bool is_held(const dep_map& map, hold as = hold::any);
inline bool held(const dep_map& map) {
  return is_held(map);
}

// lockdep_assert_held() and friends. A violation is reported, once for each place;
// nothing happens while off.
void assert_held(const dep_map& map, hold as = hold::any,
                 std::source_location where = std::source_location::current(),
                 const void* ip = nullptr);  // the caller's if null
void assert_not_held(const dep_map& map,
                     std::source_location where = std::source_location::current());
inline void assert_held_write(
    const dep_map& map, std::source_location where = std::source_location::current()) {
  assert_held(map, hold::write, where);
}
inline void assert_held_read(
    const dep_map& map, std::source_location where = std::source_location::current()) {
  assert_held(map, hold::read, where);
}
// A task that ends, or returns to user space, holds nothing: reports and forgets what it
// holds. Threads do so when they end.
void check_task_exit();
// What the current task holds, outermost first.
std::vector<reported_lock> held_locks();
// What every task holds or waits for, without those that have nothing; empty while off.
// Other tasks go on meanwhile, so what is not asleep may have changed already.
struct task_locks {
  reported_task task;
  std::vector<reported_lock> held;
};
std::vector<task_locks> all_held_locks();

// Whoever wants the reports; the default prints them to stderr. Called with no internal
// lock held, by the thread that caused it; what it locks is not validated. Returns the
// former one.
using reporter = std::function<void(const lockdep_report&)>;
reporter set_reporter(reporter wanted);
// The era in whose words the default reporter prints; 6.1 if nobody said otherwise.
void set_report_format(const report_format& format);

// What programmers' errors do after they were reported: unlock of what is not held, a
// failed assertion, the death of a held lock or of a task with locks, and an acquisition
// that waits for itself for certain (one lock twice). Other recursions and cycles always
// continue: they need not happen. Default: abort. The kernel goes on.
enum class on_error : std::uint8_t { abort, go_on };
void set_on_error(on_error policy);

// What was learned, as figures (/proc/lockdep_stats).
struct counters {
  std::size_t classes = 0;
  std::size_t direct_dependencies = 0;    // edges
  std::size_t indirect_dependencies = 0;  // pairs connected by a path
  std::size_t chains = 0;
  std::size_t chain_hlocks = 0;
  std::size_t max_depth = 0;
  std::size_t reports = 0;
  std::size_t stack_traces = 0;
  std::size_t chain_misses = 0;   // nestings looked at, trylocks too
  std::size_t cyclic_checks = 0;  // searches
};
counters count();

// A dependency that was seen, by ids of classes. lock_orders.h has them for drawings.
struct dependency {
  std::uint32_t from;
  std::uint32_t to;
  std::uint8_t kinds;  // dep_kinds
  bool direct;         // nothing was held in between
  bool closes_cycle;   // it was reported when it came
};
std::vector<dependency> dependencies();
// The chains (nestings) that were validated, as class ids, outermost first.
std::vector<std::vector<std::uint32_t>> chains();
// All of that for the texts of /proc. O(classes * dependencies).
lockdep_snapshot snapshot();
// The rows of /proc/lock_stat.
std::vector<lock_stat_row> lock_stat_rows();

// Forgets orders, chains, usage, names' versions, what was reported and what tasks hold,
// not the classes themselves. For when no other thread is inside a lock.
void reset();
inline void reset_for_test() {
  reset();
}

}  // namespace lockdep
}  // namespace memhp
