// What the files of the validator share; for nobody else.
//
//   lockdep.cc            the fast path: what runs each time a lock is taken
//   lockdep_task.cc       tasks and threads, and who holds what
//   lockdep_validator.cc  what happens the first time: learning, checking
//   lockdep_proc.cc       what was learned, as snapshots
//   lock_orders.cc        the same, for drawings
//
// Locks: registry::lock and validator::lock, never one under the other except around a
// fork(); the table of classes has one that may be taken under both. Under none of them
// anything is called that could take a lock that is validated.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "locks/grow_only_table.h"
#include "locks/guards.h"
#include "locks/lock_graph.h"
#include "locks/lockdep.h"
#include "locks/stack_store.h"
#include "locks/thread_annotations.h"

namespace memhp::lockdep::detail {

// std::mutex for clang's analysis. Not one of our own locks, so that those can be seen
// through the validator.
class CAPABILITY("mutex") plain_mutex {
 public:
  void lock() ACQUIRE() { raw_.lock(); }
  void unlock() RELEASE() { raw_.unlock(); }

 private:
  std::mutex raw_;
};

// In held_lock::flags beside those of flags_of(): its times are taken for lock_stat.
// Not part of the chain key.
inline constexpr unsigned timed_bit = 32;

// --- tasks -----------------------------------------------------------------------------

// struct held_lock of the kernel. Written by its task only; what reports want to know of
// other tasks is atomic, relaxed: on x86 and arm64 the same plain moves.
struct held_lock {
  std::atomic<const dep_map*> map = nullptr;
  std::atomic<lock_class*> cls = nullptr;
  std::atomic<const void*> ip = nullptr;
  std::atomic<unsigned> flags = 0;
  std::uint64_t key_before = 0;  // chain key of what is held before it
  std::uint64_t wait_start = 0;  // if timed; 0: did not wait
  std::uint64_t hold_start = 0;  // if timed; 0: does not have it yet

  read_kind read() const {
    return static_cast<read_kind>(flags.load(std::memory_order_relaxed) & read_bits);
  }
  bool trylock() const {
    return (flags.load(std::memory_order_relaxed) & trylock_bit) != 0;
  }
  bool timed() const { return (flags.load(std::memory_order_relaxed) & timed_bit) != 0; }
  bool is(const dep_map& other) const {
    return map.load(std::memory_order_relaxed) == &other;
  }
  lock_class& class_of() const { return *cls.load(std::memory_order_relaxed); }
  reported_lock described() const;
  void take_from(const held_lock& other);
};

// Who a task is, without the task.
struct task_id {
  std::string name;  // empty: the thread's
  int pid;
  bool is_thread;
  reported_task described() const;
};

// What it holds is a stack whose key on top is that of the next lock's key_before, so
// that to give a lock back is one store. The pair that is taken and given back a moment
// later is what costs, and it is the loads that wait for stores of just before.
struct task {
  task(std::string name, int pid, bool is_thread);
  ~task();  // leaves the registry
  task(const task&) = delete;
  task& operator=(const task&) = delete;

  // Owner only.
  held_lock* find(const dep_map& map);  // the innermost, or null
  void remove(held_lock& lock);         // in the middle too
  void forget() { top.store(held.get(), std::memory_order_relaxed); }
  void grow();
  std::uint64_t key() const { return top.load(std::memory_order_relaxed)->key_before; }

  // The owner's are exact; of others, it is what can be seen from here, under
  // registry::lock.
  std::span<held_lock> locks() const {
    return {held.get(), top.load(std::memory_order_relaxed)};
  }

  std::vector<reported_lock> described_held() const;  // as locks()
  task_id id() const;                                 // any thread, while it lives

  std::atomic<held_lock*> top = nullptr;  // where the next one goes
  held_lock* end = nullptr;               // it has a key_before, but no lock
  std::uint64_t epoch = 0;            // of what is held; of another one, it is forgotten
  std::unique_ptr<held_lock[]> held;  // replaced under registry::lock, as top and end
  const std::string name;             // empty: the thread's
  int pid;                            // changes in the child of a fork()
  const bool is_thread;
  task_state* handle = nullptr;  // what callers know it as
};

struct registry {
  plain_mutex lock;
  std::vector<task*> tasks GUARDED_BY(lock);
  static registry& instance();
};

// What somebody else has the lock as, as far as can be seen from here.
struct other_holder {
  task_id task;
  reported_lock lock;
};
std::optional<other_holder> holder_other_than(const task* self, const dep_map& map);
// Of all tasks.
known_holds holds_of(const dep_map& map);

// Each thread's: which task runs, and which nestings it has seen.
struct context {
  static constexpr unsigned cache_bits = 8;

  std::uint64_t mode = 0;   // that the rest is in order for
  task* current = nullptr;  // null until needed
  task* own = nullptr;      // the thread's
  std::uint64_t epoch = 0;  // of `seen`
  bool busy = false;        // what the validator does itself is not validated
  bool ended = false;       // the thread's destructors run
  // Chain keys that are known to be in order, direct-mapped by their high bits.
  std::array<std::uint64_t, 1U << cache_bits> seen{};

  // The current task in order for `now`; null if there is nothing to do.
  [[gnu::always_inline]] task* enter(std::uint64_t now) {
    return mode == now ? current : enter_slowly(now);
  }
  task* enter_slowly(std::uint64_t now);
  task& current_or_own();
  task_id id_of_current();  // also while the thread ends
  std::uint64_t& place_of(std::uint64_t key) { return seen[key >> (64 - cache_bits)]; }
};
extern constinit thread_local context self;

// While it lives, this thread's locks are not validated.
class busy_scope {
 public:
  busy_scope() : before_{self.busy} {
    self.busy = true;
    self.mode = 0;  // so that enter() looks
  }
  ~busy_scope() { self.busy = before_; }
  busy_scope(const busy_scope&) = delete;
  busy_scope& operator=(const busy_scope&) = delete;

 private:
  const bool before_;
};

// iterate_chain_key(): what is held, in order and how, as one number. The rotation makes
// the order matter, the odd factor spreads into the high bits; for a given key it is one
// to one, so that two nestings can only collide by their whole history.
constexpr std::uint64_t next_key(std::uint64_t key, std::uint32_t cls, unsigned flags) {
  return (std::rotl(key, 7) + (std::uint64_t{cls} << 5 | flags) + 1) * 0x9E3779B97F4A7C15;
}

// --- the validator ---------------------------------------------------------------------

struct acquisition {
  const dep_map& map;
  lock_class& cls;
  const void* ip;
  const dep_map* nest;
  unsigned flags;

  read_kind read() const { return static_cast<read_kind>(flags & read_bits); }
  bool trylock() const { return (flags & trylock_bit) != 0; }
  reported_lock described() const;
};

// What is known of an edge of the graph beyond what a search needs.
struct edge_facts {
  bool closes_cycle = false;      // it was reported when it came
  std::uint8_t modes = 0;         // order_modes
  const void* held_at = nullptr;  // of the first time
};

struct chain_hash {
  std::uint64_t operator()(std::uint64_t key) const { return key >> 20; }
};

// What all tasks learned together. Never destroyed: locks in static storage outlive
// every destructor.
struct validator {
  plain_mutex lock;
  std::uint64_t epoch GUARDED_BY(lock) = 0;
  lock_graph graph GUARDED_BY(lock);
  stack_store stacks GUARDED_BY(lock);             // by the payload of an edge
  std::vector<edge_facts> edges GUARDED_BY(lock);  // by the index of an edge
  std::vector<std::vector<std::uint32_t>> chains GUARDED_BY(lock);
  // Reported: the classes of a cycle, the smallest first.
  std::set<std::vector<std::uint32_t>> cycles_seen GUARDED_BY(lock);
  std::set<std::pair<std::string, unsigned>> places_seen GUARDED_BY(lock);
  counters count GUARDED_BY(lock);
  reporter report GUARDED_BY(lock);
  report_format format GUARDED_BY(lock) = report_format_6_1;
  on_error policy GUARDED_BY(lock) = on_error::abort;

  // Keys of chains that were looked at. Searched without, changed with the lock.
  grow_only_table<std::uint64_t, chain_hash> known{1U << 10};

  static validator& instance();
};

// Whom tell_before() and tell_failed() tell.
void set_listener(listener* wanted);

// validate_chain(): `task` is about to hold what is wanted, a nesting that this thread
// has not seen. Remembers it, and reports what is wrong.
void validate(task& t, const acquisition& wanted, std::uint64_t key);

// --- reports ---------------------------------------------------------------------------

// What all reports say: the task, what it holds, and the stack from `ip` on.
void fill(report_base& report, const task& t, const void* ip);
stack_trace stack_from(const void* ip);
// Hands the report over; what is `fatal` then aborts, unless set_on_error() says no. No
// lock of the validator may be held.
void deliver(const lockdep_report& report, bool fatal);

// Whether somebody else holds it.
bool report_bad_unlock(task& t, const dep_map& map, const void* ip);
void report_nest_not_held(task& t, const acquisition& wanted);

}  // namespace memhp::lockdep::detail
