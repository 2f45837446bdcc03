// The locks seen through the validator and the lock statistics: what a program uses that
// wants to know about its locks. The raw locks below have nothing extra on their paths.
//
//   inline constexpr lock_class_key config_key{"config_lock"};
//   tracked_mutex config_lock{config_key};
//
// Switched off, a tracked lock costs one relaxed load and a branch more than the raw one,
// and for the mutex and the writers an owner that can be asserted.
//
// Thread safety: as the raw lock of the name, with one rule more: a mutex and a write
// hold are given back by the thread that took them. A broken rule is reported with the
// lock, the holder's locks and the stack, and the process aborts, in release builds too.
//
// Mirrors mutex_lock(), down_read(), percpu_down_read() and the rest with CONFIG_LOCKDEP
// and CONFIG_LOCK_STAT (kernel/locking, 6.1).
#pragma once

#include <atomic>
#include <string_view>

#include "locks/completion.h"
#include "locks/lockdep.h"
#include "locks/mutex.h"
#include "locks/percpu_rwsem.h"
#include "locks/rwsem.h"
#include "locks/thread_annotations.h"

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

// Waits for a raw lock; if lock_stat listens, says whether it had to.
template <class Try, class Wait>
[[gnu::always_inline]] inline void wait_for_raw(dep_map& map, Try try_it, Wait wait) {
  if (!lock_stat::on()) [[likely]]
    return wait();
  if (!try_it()) {
    lockdep::contended(map);
    wait();
  }
  lockdep::acquired(map);
}
// A percpu lock cannot be tried to write, as in the kernel; whether it would have to wait
// is a guess here.
inline bool try_write(rw_semaphore& lock) NO_THREAD_SAFETY_ANALYSIS {
  return lock.try_lock();
}
inline bool try_write(percpu_rw_semaphore& lock) NO_THREAD_SAFETY_ANALYSIS {
  if (lock.is_write_locked() || lock.is_read_locked()) return false;
  lock.lock();
  return true;
}

[[noreturn]] void not_held(const dep_map& map, const char* wanted);

}  // namespace detail

// The analysis takes a tracked lock and the raw one inside it for two; that each function
// takes or gives back both is what it cannot express.

class CAPABILITY("mutex") tracked_mutex {
 public:
  explicit tracked_mutex(const lock_class_key& key) : map_{key} {}
  tracked_mutex(const tracked_mutex&) = delete;
  tracked_mutex& operator=(const tracked_mutex&) = delete;

  // `subclass`: for a lock of a class that is held already, in a known order.
  void lock(unsigned subclass = 0) ACQUIRE() NO_THREAD_SAFETY_ANALYSIS {
    lockdep::acquire(map_, {.subclass = subclass});
    detail::wait_for_raw(map_, [&] { return raw_.try_lock(); }, [&] { raw_.lock(); });
    owner_.set();
  }
  bool try_lock() TRY_ACQUIRE(true) NO_THREAD_SAFETY_ANALYSIS {
    if (!raw_.try_lock()) return false;
    owner_.set();
    lockdep::acquire(map_, {.trylock = true});
    lockdep::acquired(map_);
    return true;
  }
  void unlock() RELEASE() NO_THREAD_SAFETY_ANALYSIS {
    if (!owner_.is_me()) [[unlikely]]
      detail::not_held(map_, "unlock of a lock that is not held");
    owner_.clear();
    lockdep::release(map_);
    raw_.unlock();
  }

  // lockdep_assert_held(), validator or not.
  void assert_held() const ASSERT_HELD(this) {
    if (!owner_.is_me()) [[unlikely]]
      detail::not_held(map_, "lock must be held here");
  }
  bool held_by_me() const { return owner_.is_me(); }
  std::string_view name() const { return map_.name(); }

 private:
  mutable dep_map map_;
  mutex raw_;
  detail::lock_owner owner_;
};

class CAPABILITY("rw_semaphore") tracked_rw_semaphore {
 public:
  explicit tracked_rw_semaphore(const lock_class_key& key) : map_{key} {}

  void lock_shared() ACQUIRE_SHARED() NO_THREAD_SAFETY_ANALYSIS {
    lockdep::acquire(map_, {.read = read_kind::read});
    detail::wait_for_raw(
        map_, [&] { return raw_.try_lock_shared(); }, [&] { raw_.lock_shared(); });
  }
  bool try_lock_shared() TRY_ACQUIRE_SHARED(true) NO_THREAD_SAFETY_ANALYSIS {
    if (!raw_.try_lock_shared()) return false;
    lockdep::acquire(map_, {.read = read_kind::read, .trylock = true});
    lockdep::acquired(map_);
    return true;
  }
  void unlock_shared() RELEASE_SHARED() NO_THREAD_SAFETY_ANALYSIS {
    lockdep::release(map_);
    raw_.unlock_shared();
  }
  void lock() ACQUIRE() NO_THREAD_SAFETY_ANALYSIS {
    lockdep::acquire(map_, {});
    detail::wait_for_raw(
        map_, [&] { return detail::try_write(raw_); }, [&] { raw_.lock(); });
    owner_.set();
  }
  void unlock() RELEASE() NO_THREAD_SAFETY_ANALYSIS {
    if (!owner_.is_me()) [[unlikely]]
      detail::not_held(map_, "write unlock of a lock that is not held");
    owner_.clear();
    lockdep::release(map_);
    raw_.unlock();
  }
  void assert_held_write() const ASSERT_HELD(this) {
    if (!owner_.is_me()) [[unlikely]]
      detail::not_held(map_, "lock must be held for writing here");
  }
  std::string_view name() const { return map_.name(); }

 private:
  mutable dep_map map_;
  rw_semaphore raw_;
  detail::lock_owner owner_;
};

class CAPABILITY("percpu_rw_semaphore") tracked_percpu_rw_semaphore {
 public:
  explicit tracked_percpu_rw_semaphore(const lock_class_key& key) : map_{key} {}

  void lock_shared() ACQUIRE_SHARED() NO_THREAD_SAFETY_ANALYSIS {
    lockdep::acquire(map_, {.read = read_kind::read});
    detail::wait_for_raw(
        map_, [&] { return raw_.try_lock_shared(); }, [&] { raw_.lock_shared(); });
  }
  bool try_lock_shared() TRY_ACQUIRE_SHARED(true) NO_THREAD_SAFETY_ANALYSIS {
    if (!raw_.try_lock_shared()) return false;
    lockdep::acquire(map_, {.read = read_kind::read, .trylock = true});
    lockdep::acquired(map_);
    return true;
  }
  void unlock_shared() RELEASE_SHARED() NO_THREAD_SAFETY_ANALYSIS {
    lockdep::release(map_);
    raw_.unlock_shared();
  }
  void lock() ACQUIRE() NO_THREAD_SAFETY_ANALYSIS {
    lockdep::acquire(map_, {});
    detail::wait_for_raw(
        map_, [&] { return detail::try_write(raw_); }, [&] { raw_.lock(); });
    owner_.set();
  }
  void unlock() RELEASE() NO_THREAD_SAFETY_ANALYSIS {
    if (!owner_.is_me()) [[unlikely]]
      detail::not_held(map_, "write unlock of a lock that is not held");
    owner_.clear();
    lockdep::release(map_);
    raw_.unlock();
  }

  // lockdep_assert_held_write().
  void assert_held_write() const ASSERT_HELD(this) {
    if (!owner_.is_me()) [[unlikely]]
      detail::not_held(map_, "lock must be held for writing here");
  }
  // Without the validator readers are not known by name: then it is enough that somebody
  // holds it.
  void assert_held_read() const ASSERT_HELD_SHARED(this) {
    const bool somebody = owner_.is_me() || raw_.is_read_locked();
    if (!somebody || !lockdep::is_held(map_)) [[unlikely]]
      detail::not_held(map_, "lock must be held for reading here");
  }
  std::string_view name() const { return map_.name(); }

 private:
  mutable dep_map map_;
  percpu_rw_semaphore raw_;
  detail::lock_owner owner_;
};

// Waiting for it is told to the validator as taking it; who works towards it says so with
// a working_towards, and what is taken in there is a lock that a waiter must not hold.
class tracked_completion {
 public:
  explicit tracked_completion(const lock_class_key& key) : map_{key} {}

  void complete() { raw_.complete(); }
  void complete_all() { raw_.complete_all(); }
  void wait() {
    lockdep::wait_for(map_);
    raw_.wait();
  }
  bool try_wait() { return raw_.try_wait(); }

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
  completion raw_;
};

}  // namespace memhp
