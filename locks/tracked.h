// The locks seen through the validator and a controlled scheduler: what a program uses
// that wants to know about its locks. The raw locks below have nothing extra on their
// paths.
//
//   inline constexpr lock_class_key config_key{"config_lock"};
//   tracked_mutex config_lock{config_key};
//
// With the validator off and OS threads, a tracked lock costs a load with a branch more
// than the raw one, and for the mutex and the writers an owner that can be
// asserted. Under a controlled scheduler (locks/execution.h) the raw lock does not exist:
// its operations are steps of an object, and who waits is decided by the model of the
// locks.
//
// Thread safety: as the raw lock of the name, with one rule more: a mutex and a write
// hold are given back by the thread that took them. With the validator on, a broken rule
// is reported with the lock, who holds it and where both were, and set_on_error() says
// whether the process aborts; a lock that was given back by the wrong thread stays held.
// With it off a line names the lock, and the process aborts, in release builds too.
//
// Mirrors mutex_lock(), down_read(), percpu_down_read() and the rest with CONFIG_LOCKDEP
// and CONFIG_LOCK_STAT (kernel/locking, 6.1).
#pragma once

#include <atomic>
#include <memory>
#include <source_location>
#include <string_view>

#include "locks/completion.h"
#include "locks/execution.h"
#include "locks/lockdep.h"
#include "locks/mutex.h"
#include "locks/percpu_rwsem.h"
#include "locks/rwsem.h"
#include "locks/thread_annotations.h"
#include "locks/wait_queue.h"

namespace memhp {

namespace detail {

// Who holds a lock exclusively. Written by the holder only; a thread that reads its own
// identity here wrote it itself, so relaxed order is enough.
class lock_owner {
 public:
  void set() { owner_.store(me(), std::memory_order_relaxed); }
  void clear() { owner_.store(nullptr, std::memory_order_relaxed); }
  bool is_me() const { return owner_.load(std::memory_order_relaxed) == me(); }

 private:
  // Not reused while the thread lives.
  static const void* me() { return __builtin_thread_pointer(); }

  std::atomic<const void*> owner_ = nullptr;
};

// A raw lock, or the object of an execution that stands for it: what was there when it
// was born.
template <class Raw>
class raw_or_object {
 public:
  raw_or_object(lock_kind kind, std::string_view name) {
    if (controlled == nullptr) [[likely]]
      std::construct_at(&raw_);
    else
      id_ = controlled->add(kind, name);
  }
  ~raw_or_object() {
    if (id_ == 0) [[likely]]
      std::destroy_at(&raw_);
    else if (controlled != nullptr)
      controlled->remove(id_);
  }
  raw_or_object(const raw_or_object&) = delete;
  raw_or_object& operator=(const raw_or_object&) = delete;

  // Only with OS threads.
  Raw& raw() { return raw_; }
  const Raw& raw() const { return raw_; }

  // Only with a controlled scheduler.
  [[gnu::noinline, gnu::cold]] std::uint32_t step(lock_op op,
                                                  std::uint32_t argument = 0) const {
    return controlled->at(op, id_, argument);
  }
  bool is_written_by_me() const { return controlled->holds_to_write(id_); }
  bool is_read() const { return controlled->is_read(id_); }

 private:
  union {
    Raw raw_;
  };
  object_id id_ = 0;
};

// What is not held was given back, or asserted to be held. The validator, if it is on,
// reports it with more than the name, and says whether to go on.
[[gnu::noinline]] void bad_unlock(const dep_map& map, const char* wanted);
[[gnu::noinline]] void not_held(const dep_map& map, const char* wanted, lockdep::hold as,
                                std::source_location where);

// Behind a call: it is not made by a jump, so that its return address is where the lock
// was used and a report can say so.
[[gnu::always_inline]] inline void keep_caller_on_stack() {
  asm volatile("");
}

// LOCK_CONTENDED(): takes a raw lock of which the validator knows already. While
// lock_stat counts, it tries first, so that a wait is known to be one.
template <class Try, class Wait>
[[gnu::always_inline]] inline void wait_for_raw(dep_map& map, Try try_now, Wait wait) {
  if (!lockdep::counting()) [[likely]] {
    wait();
    return;
  }
  if (!try_now()) {
    lockdep::contended(map);
    wait();
  }
  lockdep::acquired(map);
}

// The same after the step of a controlled scheduler, which knows whether it waited.
[[gnu::cold]] void count_step(dep_map& map);

// A lock that can be held to write, by one that is known: the part that all have.
template <class Raw>
class owned_lock {
 public:
  owned_lock(const lock_class_key& key, lock_kind kind)
      : map_{key}, lock_{kind, key.name} {}
  // The validator looks first: the raw lock knows neither its name nor its holder.
  ~owned_lock() {
    const known_holds held = map_.check_freed(this, sizeof(*this));
    if (held.reads + held.writes != 0 && controlled == nullptr) [[unlikely]]
      give_back(held);
  }
  owned_lock(const owned_lock&) = delete;
  owned_lock& operator=(const owned_lock&) = delete;

  bool held_by_me() const {
    if (controlled == nullptr) [[likely]]
      return owner_.is_me();
    return lock_.is_written_by_me();
  }
  [[gnu::always_inline]] void must_be_mine(const char* wanted, lockdep::hold as,
                                           std::source_location where) const {
    if (!held_by_me()) [[unlikely]] {
      not_held(map_, wanted, as, where);
      keep_caller_on_stack();
    }
  }

 protected:
  // False after a report that does not end the process: then nothing is given back, for
  // it may be another's.
  [[gnu::always_inline]] bool may_unlock(const char* wanted) const {
    if (held_by_me()) [[likely]]
      return true;
    bad_unlock(map_, wanted);
    keep_caller_on_stack();
    return false;
  }
  // Dies held, was reported, and all goes on: as if it had been given back in time.
  [[gnu::noinline]] void give_back(known_holds held) NO_THREAD_SAFETY_ANALYSIS {
    if constexpr (requires { lock_.raw().unlock_shared(); })
      for (; held.reads != 0; --held.reads) lock_.raw().unlock_shared();
    if (held.writes != 0) lock_.raw().unlock();
  }
  void step_to_hold(lock_op op) {
    lock_.step(op);
    if (lockdep::counting()) count_step(map_);
  }

  mutable dep_map map_;
  raw_or_object<Raw> lock_;
  lock_owner owner_;
};

// For who is watched: the fast paths, inlined once more, would only be in the way.
template <class Raw>
[[gnu::noinline]] void lock_shared_by_call(Raw& raw) NO_THREAD_SAFETY_ANALYSIS {
  raw.lock_shared();
}
template <class Raw>
[[gnu::noinline]] void unlock_shared_by_call(Raw& raw) NO_THREAD_SAFETY_ANALYSIS {
  raw.unlock_shared();
}

// The reader/writer locks, which differ in the raw lock only.
template <class Raw>
class owned_rw_lock : public owned_lock<Raw> {
 public:
  explicit owned_rw_lock(const lock_class_key& key)
      : owned_lock<Raw>{key, lock_kind::rw_semaphore} {}

  [[gnu::always_inline]] void read_lock() NO_THREAD_SAFETY_ANALYSIS {
    if (!watched()) [[likely]] {
      this->lock_.raw().lock_shared();
      return;
    }
    lockdep::acquire(this->map_, {.read = read_kind::read});
    if (controlled == nullptr) [[likely]]
      wait_for_raw(
          this->map_,
          [this]()
              NO_THREAD_SAFETY_ANALYSIS { return this->lock_.raw().try_lock_shared(); },
          [this]() NO_THREAD_SAFETY_ANALYSIS { lock_shared_by_call(this->lock_.raw()); });
    else
      this->step_to_hold(lock_op::read_lock);
  }
  [[gnu::always_inline]] bool try_read_lock() NO_THREAD_SAFETY_ANALYSIS {
    if (controlled == nullptr) [[likely]] {
      lockdep::about_to_try(this->map_);
      if (!this->lock_.raw().try_lock_shared()) {
        lockdep::try_failed(this->map_);
        return false;
      }
    } else if (this->lock_.step(lock_op::try_read_lock) == 0) {
      return false;
    }
    lockdep::acquire(this->map_, {.read = read_kind::read, .trylock = true});
    lockdep::acquired(this->map_);
    return true;
  }
  [[gnu::always_inline]] void read_unlock() NO_THREAD_SAFETY_ANALYSIS {
    if (!watched()) [[likely]] {
      this->lock_.raw().unlock_shared();
      return;
    }
    if (!lockdep::release(this->map_)) [[unlikely]]
      return;
    if (controlled == nullptr) [[likely]]
      unlock_shared_by_call(this->lock_.raw());
    else
      this->lock_.step(lock_op::read_unlock);
  }
  [[gnu::always_inline]] void write_lock() NO_THREAD_SAFETY_ANALYSIS {
    if (!watched()) [[likely]] {
      this->lock_.raw().lock();
      this->owner_.set();
      return;
    }
    lockdep::acquire(this->map_, {});
    if (controlled == nullptr) [[likely]] {
      wait_for_raw(
          this->map_,
          [this]() NO_THREAD_SAFETY_ANALYSIS { return this->lock_.raw().try_lock(); },
          [this]() NO_THREAD_SAFETY_ANALYSIS { this->lock_.raw().lock(); });
      this->owner_.set();
      return;
    }
    this->lock_.step(lock_op::announce_write);
    this->step_to_hold(lock_op::write_lock);
  }
  [[gnu::always_inline]] bool try_write_lock() NO_THREAD_SAFETY_ANALYSIS {
    if (controlled == nullptr) [[likely]] {
      lockdep::about_to_try(this->map_);
      if (!this->lock_.raw().try_lock()) {
        lockdep::try_failed(this->map_);
        return false;
      }
      this->owner_.set();
    } else if (this->lock_.step(lock_op::try_write_lock) == 0) {
      return false;
    }
    lockdep::acquire(this->map_, {.trylock = true});
    lockdep::acquired(this->map_);
    return true;
  }
  [[gnu::always_inline]] void write_unlock() NO_THREAD_SAFETY_ANALYSIS {
    if (!watched() && this->owner_.is_me()) [[likely]] {
      this->owner_.clear();
      this->lock_.raw().unlock();
      return;
    }
    if (!this->may_unlock("write unlock of a lock that is not held")) return;
    lockdep::release(this->map_);
    if (controlled == nullptr) [[likely]] {
      this->owner_.clear();
      this->lock_.raw().unlock();
      return;
    }
    this->lock_.step(lock_op::write_unlock);
  }
  // Whether readers may be inside. A waiting writer hides them; it is enough then that
  // there is one.
  bool may_be_read_locked() const {
    if (controlled != nullptr) return this->lock_.is_read();
    return this->lock_.raw().is_write_locked() || this->lock_.raw().is_read_locked();
  }
  std::string_view name() const { return this->map_.name(); }
  const dep_map& map() const { return this->map_; }
};

}  // namespace detail

// The analysis takes a tracked lock and the raw one inside it for two; that each function
// takes or gives back both is what it cannot express.

class CAPABILITY("mutex") tracked_mutex : detail::owned_lock<mutex> {
 public:
  explicit tracked_mutex(const lock_class_key& key)
      : detail::owned_lock<mutex>{key, lock_kind::mutex} {}

  // `subclass`: for a lock of a class that is held already, in a known order.
  [[gnu::always_inline]] void lock(unsigned subclass = 0)
      ACQUIRE() NO_THREAD_SAFETY_ANALYSIS {
    if (!watched()) [[likely]] {
      lock_.raw().lock();
      owner_.set();
      return;
    }
    lockdep::acquire(map_, {.subclass = subclass});
    if (controlled == nullptr) [[likely]] {
      detail::wait_for_raw(
          map_, [this]() NO_THREAD_SAFETY_ANALYSIS { return lock_.raw().try_lock(); },
          [this]() NO_THREAD_SAFETY_ANALYSIS { lock_.raw().lock(); });
      owner_.set();
      return;
    }
    step_to_hold(lock_op::lock);
  }
  [[gnu::always_inline]] bool try_lock() TRY_ACQUIRE(true) NO_THREAD_SAFETY_ANALYSIS {
    if (controlled == nullptr) [[likely]] {
      lockdep::about_to_try(map_);
      if (!lock_.raw().try_lock()) {
        lockdep::try_failed(map_);
        return false;
      }
      owner_.set();
    } else if (lock_.step(lock_op::try_lock) == 0) {
      return false;
    }
    lockdep::acquire(map_, {.trylock = true});
    lockdep::acquired(map_);
    return true;
  }
  [[gnu::always_inline]] void unlock() RELEASE() NO_THREAD_SAFETY_ANALYSIS {
    if (!watched() && owner_.is_me()) [[likely]] {
      owner_.clear();
      lock_.raw().unlock();
      return;
    }
    if (!may_unlock("unlock of a lock that is not held")) return;
    lockdep::release(map_);
    if (controlled == nullptr) [[likely]] {
      owner_.clear();
      lock_.raw().unlock();
      return;
    }
    lock_.step(lock_op::unlock);
  }

  // lockdep_assert_held(), validator or not.
  [[gnu::always_inline]] void assert_held(
      std::source_location where = std::source_location::current()) const
      ASSERT_HELD(this) {
    must_be_mine("lock must be held here", lockdep::hold::any, where);
  }
  // The validator alone, if it is on: for rules that are known to be broken.
  void expect_held(std::source_location where = std::source_location::current()) const
      ASSERT_HELD(this) {
    if (!held_by_me()) [[unlikely]]
      lockdep::assert_held(map_, lockdep::hold::any, where);
  }
  using owned_lock::held_by_me;
  std::string_view name() const { return map_.name(); }
};

class CAPABILITY("rw_semaphore") tracked_rw_semaphore {
 public:
  explicit tracked_rw_semaphore(const lock_class_key& key) : lock_{key} {}

  [[gnu::always_inline]] void lock_shared() ACQUIRE_SHARED() NO_THREAD_SAFETY_ANALYSIS {
    lock_.read_lock();
  }
  [[gnu::always_inline]] bool try_lock_shared()
      TRY_ACQUIRE_SHARED(true) NO_THREAD_SAFETY_ANALYSIS {
    return lock_.try_read_lock();
  }
  [[gnu::always_inline]] void unlock_shared() RELEASE_SHARED() NO_THREAD_SAFETY_ANALYSIS {
    lock_.read_unlock();
  }
  [[gnu::always_inline]] void lock() ACQUIRE() NO_THREAD_SAFETY_ANALYSIS {
    lock_.write_lock();
  }
  [[gnu::always_inline]] bool try_lock() TRY_ACQUIRE(true) NO_THREAD_SAFETY_ANALYSIS {
    return lock_.try_write_lock();
  }
  [[gnu::always_inline]] void unlock() RELEASE() NO_THREAD_SAFETY_ANALYSIS {
    lock_.write_unlock();
  }
  [[gnu::always_inline]] void assert_held_write(
      std::source_location where = std::source_location::current()) const
      ASSERT_HELD(this) {
    lock_.must_be_mine("lock must be held for writing here", lockdep::hold::write, where);
  }
  std::string_view name() const { return lock_.name(); }

 private:
  detail::owned_rw_lock<rw_semaphore> lock_;
};

class CAPABILITY("percpu_rw_semaphore") tracked_percpu_rw_semaphore {
 public:
  explicit tracked_percpu_rw_semaphore(const lock_class_key& key) : lock_{key} {}

  [[gnu::always_inline]] void lock_shared() ACQUIRE_SHARED() NO_THREAD_SAFETY_ANALYSIS {
    lock_.read_lock();
  }
  [[gnu::always_inline]] bool try_lock_shared()
      TRY_ACQUIRE_SHARED(true) NO_THREAD_SAFETY_ANALYSIS {
    return lock_.try_read_lock();
  }
  [[gnu::always_inline]] void unlock_shared() RELEASE_SHARED() NO_THREAD_SAFETY_ANALYSIS {
    lock_.read_unlock();
  }
  [[gnu::always_inline]] void lock() ACQUIRE() NO_THREAD_SAFETY_ANALYSIS {
    lock_.write_lock();
  }
  [[gnu::always_inline]] bool try_lock() TRY_ACQUIRE(true) NO_THREAD_SAFETY_ANALYSIS {
    return lock_.try_write_lock();
  }
  [[gnu::always_inline]] void unlock() RELEASE() NO_THREAD_SAFETY_ANALYSIS {
    lock_.write_unlock();
  }

  // lockdep_assert_held_write().
  [[gnu::always_inline]] void assert_held_write(
      std::source_location where = std::source_location::current()) const
      ASSERT_HELD(this) {
    lock_.must_be_mine("lock must be held for writing here", lockdep::hold::write, where);
  }
  // Without the validator readers are not known by name: then it is enough that somebody
  // holds it, or that a writer waits until nobody does.
  [[gnu::always_inline]] void assert_held_read(
      std::source_location where = std::source_location::current()) const
      ASSERT_HELD_SHARED(this) {
    const bool somebody = lock_.held_by_me() || lock_.may_be_read_locked();
    if (somebody && lockdep::is_held(lock_.map())) [[likely]]
      return;
    detail::not_held(lock_.map(), "lock must be held for reading here",
                     lockdep::hold::any, where);
    detail::keep_caller_on_stack();
  }
  bool held_by_me() const { return lock_.held_by_me(); }  // to write
  std::string_view name() const { return lock_.name(); }
  const dep_map& map() const { return lock_.map(); }

 private:
  detail::owned_rw_lock<percpu_rw_semaphore> lock_;
};

// Waiting for it is told to the validator as taking it; who works towards it says so with
// a working_towards, and what is taken in there is a lock that a waiter must not hold.
class tracked_completion {
 public:
  explicit tracked_completion(const lock_class_key& key)
      : map_{key}, lock_{lock_kind::completion, key.name} {}

  void complete();
  void complete_all();
  void wait();
  bool try_wait();

  class [[nodiscard]] working_towards {
   public:
    explicit working_towards(tracked_completion& what) : map_{what.map_} {
      lockdep::acquire(map_, {});
    }
    ~working_towards() { lockdep::release(map_); }
    working_towards(const working_towards&) = delete;
    working_towards& operator=(const working_towards&) = delete;

   private:
    dep_map& map_;
  };

 private:
  dep_map map_;
  detail::raw_or_object<completion> lock_;
};

// wait_event() and wake_up_all(). Not known to the validator: what a waiter waits for is
// somebody's lock or active reference, which is.
class tracked_wait_queue {
 public:
  // `name` is what a scheduler calls it; it must outlive it.
  explicit tracked_wait_queue(std::string_view name);
  ~tracked_wait_queue();
  tracked_wait_queue(const tracked_wait_queue&) = delete;
  tracked_wait_queue& operator=(const tracked_wait_queue&) = delete;

  // Returns once `condition()` is true. It must be short, must not use the same queue,
  // and whoever makes it true calls wake_all() afterwards. Not interruptible: a wait that
  // ends with a signal tests for the signal in its condition.
  template <class Condition>
  void wait(Condition condition) {
    wait_until([](void* what) { return bool{(*static_cast<Condition*>(what))()}; },
               &condition);
  }

  void wake_all();

 private:
  // Out of line, so that what uses it contains no blocking call itself.
  void wait_until(bool (*condition)(void*), void* what);

  detail::raw_or_object<wait_queue> queue_;
};

}  // namespace memhp
