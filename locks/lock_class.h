// Lock classes: what the validator reasons about.
//
// All locks that are initialized at one place are one class: an order that was seen once
// between two of them must hold between any two. A class is known by the address of its
// key and a subclass; a second key with the same name prints as "name#2".
//
// Thread safety: a lock_class is made once and never dies; everything in it is constant
// or atomic. find_lock_class() may be called by any thread and may wait for others that
// make classes; the address it returns is kept by whoever asks often (dep_map).
//
// Mirrors struct lock_class_key, struct lock_class and register_lock_class()
// (kernel/locking/lockdep.c, 6.1).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace memhp {

// How a lock is taken, for the question who blocks whom: a write blocks everybody; both
// reads block a write; a read waits behind a waiting writer, a recursive read does not.
enum class read_kind : std::uint8_t { write, read, recursive_read };

// Whether dependencies of a class are checked. dev->mutex is not: parents and children
// share its class, so every nesting would be a report.
enum class lock_validation : bool { off, on };

// Names a class, in static storage: its address is the class, as with the kernel's
// struct lock_class_key. `wait_type` is what {outer:inner} prints: 3 for what sleeps as a
// mutex does, 0 where the kernel declares none (percpu rwsems, kernfs).
struct lock_class_key {
  std::string_view name;
  std::uint8_t wait_type = 3;
  lock_validation validation = lock_validation::on;
};

class lock_class {
 public:
  lock_class(unsigned id, const void* key, unsigned subclass, std::string name,
             const lock_class_key& like)
      : id{id},
        subclass{subclass},
        key{key},
        name{std::move(name)},
        wait_type{like.wait_type},
        validated{like.validation == lock_validation::on} {}
  lock_class(const lock_class&) = delete;
  lock_class& operator=(const lock_class&) = delete;

  const unsigned id;  // dense, from 0
  const unsigned subclass;
  const void* const key;
  const std::string name;  // with "#2" and so on, without the subclass
  const std::uint8_t wait_type;
  const bool validated;

  // lock_usage_bit: how it was taken so far, always in process context here. What is only
  // waited for is never held while memory is allocated, which had bits of its own while
  // the kernel tracked reclaim (up to 4.14).
  static constexpr std::uint8_t used_to_write = 1;
  static constexpr std::uint8_t used_to_read = 2;
  static constexpr std::uint8_t held_to_write = 4;
  static constexpr std::uint8_t held_to_read = 8;
  void mark_used(read_kind how, bool only_waited_for) {
    if (!validated) return;  // as the kernel: its usage stays all dots
    std::uint8_t bits = how == read_kind::write ? used_to_write : used_to_read;
    if (!only_waited_for) bits |= how == read_kind::write ? held_to_write : held_to_read;
    if ((usage_.load(std::memory_order_relaxed) & bits) != bits)
      usage_.fetch_or(bits, std::memory_order_relaxed);
  }
  std::uint8_t usage() const { return usage_.load(std::memory_order_relaxed); }
  void forget_usage() { usage_.store(0, std::memory_order_relaxed); }

  // "name", or "name/1" of subclass 1, as reports and /proc/lockdep print it.
  std::string full_name() const;

 private:
  std::atomic<std::uint8_t> usage_ = 0;
};

// The class of (key, subclass); made if it is new, named and typed like `like`.
lock_class& find_lock_class(const void* key, unsigned subclass,
                            const lock_class_key& like);

// Calls visit(class) for every class in the order of their ids. Classes that come
// meanwhile may be left out.
void for_each_lock_class(const std::function<void(lock_class&)>& visit);
// The class with this id, which exists.
lock_class& lock_class_at(unsigned id);

}  // namespace memhp
