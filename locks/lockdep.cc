#include "locks/lockdep.h"

#include <algorithm>
#include <utility>

#include "locks/lockdep_internal.h"

namespace memhp {

// What lock_stat keeps in a lock.
struct stat_access {
  static const void* last_ip(const dep_map& map) {
    return map.last_ip_.load(std::memory_order_relaxed);
  }
  // Written only when it changes: readers of one lock share the line.
  static void set_last_ip(dep_map& map, const void* ip) {
    if (last_ip(map) != ip) map.last_ip_.store(ip, std::memory_order_relaxed);
  }
  static lock_cpu& last_cpu(dep_map& map) { return map.last_cpu_; }
};

namespace lockdep {
namespace detail {
namespace {

std::uint64_t mode_now() {
  return mode.load(std::memory_order_relaxed);
}

lock_stat::hold_mode hold_mode_of(const held_lock& lock) {
  return lock.read() == read_kind::write ? lock_stat::hold_mode::write
                                         : lock_stat::hold_mode::read;
}

[[gnu::always_inline]] inline void push(task& t, const dep_map& map, lock_class& cls,
                                        const void* ip, unsigned flags,
                                        std::uint64_t key) {
  held_lock* const top = t.top.load(std::memory_order_relaxed);
  top->map.store(&map, std::memory_order_relaxed);
  top->cls.store(&cls, std::memory_order_relaxed);
  top->ip.store(ip, std::memory_order_relaxed);
  top->flags.store(flags, std::memory_order_relaxed);
  top[1].key_before = key;
  t.top.store(top + 1, std::memory_order_relaxed);
}

// A nesting that this thread's cache does not have.
[[gnu::noinline]] void look_at(task& t, const acquisition& wanted, std::uint64_t key) {
  if ((mode_now() & prove_bit) == 0) {
    register_lock_class(wanted.cls);  // for lock_stat; the validator does so by itself
    return;
  }
  const auto is_key = [key](std::uint64_t known) { return known == key; };
  if (validator::instance().known.find(chain_hash{}(key), is_key) == key)
    self.place_of(key) = key;
  else
    validate(t, wanted, key);
}

void count_release(const held_lock& lock) {
  if (!lock.timed() || lock.hold_start == 0) return;
  lock_stat::released(lock.class_of().id, hold_mode_of(lock),
                      lock_stat::now() - lock.hold_start);
}

// A nest lock must be held each time, not only when the nesting is new.
[[gnu::noinline]] bool nest_is_held(task& t, const acquisition& wanted) {
  if (t.find(*wanted.nest) != nullptr) return true;
  report_nest_not_held(t, wanted);
  return false;
}

// All that acquire_on() leaves out, from the start.
[[gnu::noinline]] void acquire_slowly(dep_map& map, unsigned flags, unsigned subclass,
                                      const dep_map* nest, const void* ip) {
  if ((flags & trylock_bit) == 0) about_to_try(map);
  const std::uint64_t now = mode_now();
  task* const t = self.enter(now);
  if (t == nullptr) return;
  acquisition wanted{
      .map = map, .cls = map.class_of(subclass), .ip = ip, .nest = nest, .flags = flags};
  if (nest != nullptr && !nest_is_held(*t, wanted)) {
    wanted.nest = nullptr;
    wanted.flags &= ~nest_bit;
  }
  const std::uint64_t key = next_key(t->key(), wanted.cls.id, wanted.flags);
  if (self.place_of(key) != key) look_at(*t, wanted, key);
  if (t->top.load(std::memory_order_relaxed) == t->end) t->grow();
  if ((now & stat_bit) != 0) {
    wanted.flags |= timed_bit;
    held_lock& top = *t->top.load(std::memory_order_relaxed);
    top.wait_start = 0;
    top.hold_start = 0;
  }
  push(*t, map, wanted.cls, ip, wanted.flags, key);
}

[[gnu::noinline]] bool release_slowly(dep_map& map, const void* ip) {
  const std::uint64_t now = mode_now();
  task* const t = self.enter(now);
  if (t == nullptr) return true;
  if (held_lock* lock = t->find(map)) {
    if ((now & stat_bit) != 0) count_release(*lock);
    t->remove(*lock);
  } else if ((now & prove_bit) != 0) {
    return report_bad_unlock(*t, map, ip);
  }
  return true;
}

}  // namespace

// A nesting that this thread has seen. It calls nothing, so that no register is saved;
// whatever else it meets starts again in acquire_slowly().
[[gnu::noinline]] void acquire_on(dep_map& map, unsigned flags, unsigned subclass,
                                  const dep_map* nest, const void* ip) {
  if (ip == nullptr) ip = __builtin_return_address(0);
  const std::uint64_t now = mode_now();
  lock_class* const cls = map.known_class(subclass);
  if (self.mode == now && cls != nullptr && nest == nullptr &&
      (now & (stat_bit | listen_bit)) == 0) [[likely]] {
    task& t = *self.current;
    const std::uint64_t key = next_key(t.key(), cls->id, flags);
    if (self.place_of(key) == key && t.top.load(std::memory_order_relaxed) != t.end)
        [[likely]] {
      push(t, map, *cls, ip, flags, key);
      return;
    }
  }
  acquire_slowly(map, flags, subclass, nest, ip);
}

// The lock on top, likewise.
[[gnu::noinline]] bool release_on(dep_map& map, const void* ip) {
  const std::uint64_t now = mode_now();
  if (self.mode == now && (now & stat_bit) == 0) [[likely]] {
    task& t = *self.current;
    held_lock* const top = t.top.load(std::memory_order_relaxed);
    if (top != t.held.get() && top[-1].is(map)) [[likely]] {
      t.top.store(top - 1, std::memory_order_relaxed);
      return true;
    }
  }
  return release_slowly(map, ip != nullptr ? ip : __builtin_return_address(0));
}

[[gnu::noinline]] void contended_on(dep_map& map, std::uint64_t since) {
  task* const t = self.enter(mode_now());
  held_lock* const lock = t == nullptr ? nullptr : t->find(map);
  if (lock == nullptr || !lock->timed()) return;
  lock->wait_start = since != 0 ? since : lock_stat::now();
  lock_stat::contended(
      lock->class_of().id, hold_mode_of(*lock), lock->ip.load(std::memory_order_relaxed),
      stat_access::last_ip(map), stat_access::last_cpu(map).is_elsewhere());
}

void acquired_on(dep_map& map) {
  task* const t = self.enter(mode_now());
  held_lock* const lock = t == nullptr ? nullptr : t->find(map);
  if (lock == nullptr || !lock->timed()) return;
  lock->hold_start = lock_stat::now();
  const std::uint64_t waited = lock->wait_start == 0
                                   ? lock_stat::did_not_wait
                                   : lock->hold_start - lock->wait_start;
  lock_stat::acquired(lock->class_of().id, hold_mode_of(*lock), waited,
                      stat_access::last_cpu(map).move_here());
  stat_access::set_last_ip(map, lock->ip.load(std::memory_order_relaxed));
}

namespace {
constinit std::atomic<listener*> listening = nullptr;

// What the validator itself and its reporter lock is nobody's business.
listener* who_listens() {
  return self.busy ? nullptr : listening.load(std::memory_order_acquire);
}
}  // namespace

void tell_before(const dep_map& map) {
  if (listener* const it = who_listens()) it->before(map);
}

void tell_failed(const dep_map& map) {
  if (listener* const it = who_listens()) it->failed(map);
}

void set_listener(listener* wanted) {
  listening.store(wanted, std::memory_order_release);
}

}  // namespace detail

using detail::self;

[[gnu::noinline]] void wait_for(dep_map& map) {
  if (detail::mode_now() == 0) return;
  detail::acquire_on(map, detail::flags_of({.only_waited_for = true}), 0, nullptr,
                     __builtin_return_address(0));
  detail::release_on(map, __builtin_return_address(0));
}

bool is_held(const dep_map& map, hold as) {
  const std::uint64_t now = detail::mode_now();
  if ((now & detail::prove_bit) == 0) return true;
  detail::task* const t = self.enter(now);
  if (t == nullptr) return true;
  return std::ranges::any_of(t->locks(), [&](const detail::held_lock& lock) {
    return lock.is(map) &&
           (as == hold::any || (as == hold::write) == (lock.read() == read_kind::write));
  });
}

}  // namespace lockdep

lock_class& dep_map::look_up(unsigned subclass) const {
  lock_class& found = find_lock_class(key_, subclass, like_);
  // B pairs with A in known_class(): without them another thread could read the class
  // before it is made.
  if (subclass < cached) classes_[subclass].store(&found, std::memory_order_release);
  // Remembered also if only another subclass is used: the destructor asks.
  if (subclass != 0) class_of(0);
  return found;
}

[[gnu::noinline]] known_holds dep_map::freed(const void* begin, std::size_t size) {
  classes_[0].store(nullptr, std::memory_order_relaxed);  // asked once
  const std::uint64_t now = lockdep::detail::mode_now();
  if ((now & lockdep::detail::prove_bit) == 0) return {};
  lockdep::detail::task* const t = lockdep::detail::self.enter(now);
  if (t == nullptr) return {};
  held_destroyed_report report;
  if (auto* mine = t->find(*this)) {
    report.lock = mine->described();
  } else if (auto other = lockdep::detail::holder_other_than(t, *this)) {
    report.lock = std::move(other->lock);
    report.holder = other->task.described();
  } else {
    return {};
  }
  report.begin = begin;
  report.end = static_cast<const std::byte*>(begin) + size;
  lockdep::detail::fill(report, *t, __builtin_return_address(0));
  const known_holds holds = lockdep::detail::holds_of(*this);
  while (auto* mine = t->find(*this)) t->remove(*mine);
  lockdep::detail::deliver(report, true);
  return holds;
}

}  // namespace memhp
