// Lock classes: what the validator reasons about.
//
// All locks that are initialized at one place are one class: an order that was seen once
// between two of them must hold between any two. A class is known by an address, a name
// and a subclass: the address of its static key, or of whatever all locks of a dynamic
// class have in common. A second address with the same name prints as "name#2".
//
// Thread safety: a lock_class is made once and never dies; everything in it is constant
// or atomic. find_lock_class() may be called by any thread; it takes no lock and writes
// nothing if the class is known. The tables grow without limit.
//
// Mirrors struct lock_class_key, struct lock_class and register_lock_class()
// (kernel/locking/lockdep.c, 6.1).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "locks/lockdep_report.h"

namespace memhp {

// How a lock is taken, for the question who blocks whom: a write blocks everybody; both
// reads block a write; a read waits behind a waiting writer, a recursive read does not.
// The values are the kernel's.
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
  bool percpu_rwsem = false;  // printed as NAME.rw_sem in some eras
};

class lock_class {
 public:
  // Subclasses are 0 to 7, as in the kernel.
  static constexpr unsigned max_subclasses = 8;

  lock_class(std::uint32_t its_id, const void* its_key, unsigned its_subclass,
             const lock_class_key& like)
      : id{its_id},
        subclass{its_subclass},
        key{its_key},
        name{like.name},
        wait_type{like.wait_type},
        validated{like.validation == lock_validation::on},
        percpu_rwsem{like.percpu_rwsem} {}
  lock_class(const lock_class&) = delete;
  lock_class& operator=(const lock_class&) = delete;

  const std::uint32_t id;  // dense, from 0
  const unsigned subclass;
  const void* const key;
  const std::string name;  // without version and subclass
  const std::uint8_t wait_type;
  const bool validated;
  const bool percpu_rwsem;

  // Which of the classes of this name it is, in the order in which they were first
  // acquired; the subclasses of a key share it. 0: not acquired yet.
  int version() const { return version_.load(std::memory_order_relaxed); }

  // lock_usage_bit: how it was taken so far, always in process context here. What is only
  // waited for (`held` false) is never held while memory is allocated, which had bits of
  // its own while the kernel tracked reclaim (up to 4.14).
  void mark_used(read_kind how, bool held);
  lock_usage usage() const;

  // As reports and /proc/lockdep name it.
  reported_class described() const;
  // "name#2/1", or less.
  std::string full_name() const;

 private:
  friend struct lock_class_table;

  std::atomic<int> version_ = 0;
  std::atomic<std::uint8_t> usage_ = 0;
};

// The class of (key, name, subclass); made if it is new, named and typed like `like`.
lock_class& find_lock_class(const void* key, unsigned subclass,
                            const lock_class_key& like);

// Gives the class its version, if it has none. O(classes of its name).
void register_lock_class(lock_class& cls);
// The classes that have a version, in the order in which they got it.
std::vector<lock_class*> registered_lock_classes();
// The class with this id, which exists.
lock_class& lock_class_at(std::uint32_t id);
// Takes all versions and usages back; classes stay where they are.
void forget_lock_classes();
// Around a fork(): nobody changes the tables in between.
void lock_lock_classes();
void unlock_lock_classes();

}  // namespace memhp
