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
//   lockdep::release(map);
//
// Thread safety: every function may be called by any thread. A dep_map belongs to one
// lock and may be used by several threads at once.
// Rules, as in the kernel:
//   1. A lock is told before it is waited for, so that the report comes out even if the
//      wait never ends. A trylock is told after it succeeded.
//   2. A trylock never waits: nothing leads to it. But while it is held, what is wanted
//      then depends on it.
//   3. A nesting that was seen once is not looked at again.
// Unlike the kernel's, a report does not switch it off, its tables grow, and each
// distinct cycle is reported once.
//
// Cost while on: a nesting seen before costs one look into a table of the task, without
// shared writes. A new one takes an internal mutex and may search the graph. While off:
// one relaxed load and a branch.
//
// Mirrors kernel/locking/lockdep.c and include/linux/lockdep.h (6.1).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "locks/lock_class.h"

namespace memhp {

struct lockdep_report;

// A lock as the validator sees it (struct lockdep_map).
class dep_map {
 public:
  // Of a static key's class. The key must outlive everything.
  explicit dep_map(const lock_class_key& key) : key_{&key}, like_{&key} {}
  // Of a class that `identity` stands for, e.g. the attribute that a file was made from;
  // named and typed like `like`, whose name must outlive it.
  dep_map(const void* identity, const lock_class_key& like)
      : key_{identity}, like_{&like} {}
  // Tells the validator if it dies held. A copy would be another lock.
  ~dep_map() {
    if (class_.load(std::memory_order_relaxed) != nullptr) destroyed();
  }
  dep_map(const dep_map&) = delete;
  dep_map& operator=(const dep_map&) = delete;

  lock_class& class_of(unsigned subclass = 0) const {
    lock_class* const known = class_.load(std::memory_order_acquire);
    return subclass == 0 && known != nullptr ? *known : look_up(subclass);
  }
  std::string_view name() const { return like_->name; }

 private:
  lock_class& look_up(unsigned subclass) const;
  void destroyed();

  const void* const key_;
  const lock_class_key* const like_;
  mutable std::atomic<lock_class*> class_ = nullptr;  // null: never acquired
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

struct held_lock {
  const dep_map* map;
  lock_class* cls;
  const void* ip;
  std::uint64_t chain_before;  // chain key of what was held before
  read_kind read;
  bool trylock;
  bool check;
};

// What one task holds. A thread has one of its own; who runs several tasks on one thread
// (fibers) gives each its own and says which is current.
class task_state {
 public:
  task_state() = default;
  explicit task_state(std::string name) : name_{std::move(name)} {}
  task_state(const task_state&) = delete;
  task_state& operator=(const task_state&) = delete;
  ~task_state();

  const std::vector<held_lock>& held() const { return held_; }
  // comm and pid as reports print them.
  std::string name() const;

 private:
  friend struct task_access;
  static constexpr std::size_t cache_size = 256;
  std::vector<held_lock> held_;
  std::uint64_t chain_key_ = 0;
  bool busy_ = false;  // inside the validator: what it does itself is not validated
  std::uint64_t validated_[cache_size] = {};  // chain keys, direct-mapped
  std::string name_;
};

extern std::atomic<bool> enabled;

// To be switched while nobody holds a lock: what was taken before is not known, and its
// release is reported.
inline bool on() {
  return enabled.load(std::memory_order_relaxed);
}
void set_on(bool on);

// The current task's state; that of the thread if nobody said otherwise.
task_state& current();
// Makes `task` the current one of this thread; null: the thread's own. Returns the
// former.
task_state* set_current(task_state* task);

void acquire_on(dep_map& map, const how& how, const void* caller);
void release_on(dep_map& map, const void* caller);

[[gnu::always_inline]] inline void acquire(dep_map& map, const how& how) {
  if (on()) [[unlikely]]
    acquire_on(map, how, nullptr);
}
[[gnu::always_inline]] inline void release(dep_map& map) {
  if (on()) [[unlikely]]
    release_on(map, nullptr);
}
// Something that is waited for but never held: the wait is an acquire and a release
// (lock_map_acquire(); lock_map_release() around flushes).
void wait_for(dep_map& map);

// Whether the current task holds it; in any way, or as asked. True while off: nothing is
// known then.
enum class hold : std::uint8_t { any, write, read };
bool is_held(const dep_map& map, hold as = hold::any);

// lockdep_assert_held() and friends. A violation is reported with the caller's stack.
void assert_held(const dep_map& map, hold as = hold::any);
void assert_not_held(const dep_map& map);
// A task that ends, or returns to user space, holds nothing.
void check_task_exit();

// Whoever wants the reports; the default prints them to stderr. Called with no internal
// lock held, by the thread that caused it; what it locks is not validated. Returns the
// former one.
using reporter = std::function<void(const lockdep_report&)>;
reporter set_reporter(reporter wanted);

// What programmers' errors do after they were reported: unlock of what is not held, a
// failed assertion, the death of a held lock. Cycles always continue. Default: abort.
enum class on_error : std::uint8_t { abort, go_on };
void set_on_error(on_error policy);

// Figures of /proc/lockdep_stats.
struct counters {
  std::size_t classes = 0;
  std::size_t direct_dependencies = 0;
  std::size_t indirect_dependencies = 0;
  std::size_t chains = 0;
  std::size_t chain_hlocks = 0;
  std::size_t max_depth = 0;
  std::size_t reports = 0;
  std::size_t stack_traces = 0;
};
counters count();

// A dependency that was seen, for /proc/lockdep and drawings.
struct dependency {
  unsigned from;
  unsigned to;
  std::uint8_t kinds;
  bool closes_cycle;  // it was reported and is not part of the graph
};
std::vector<dependency> dependencies();
// The chains (nestings) that were validated, as class ids, outermost first.
std::vector<std::vector<unsigned>> chains();

// Forgets orders, chains and what was reported, not the classes.
void reset();

}  // namespace lockdep
}  // namespace memhp
