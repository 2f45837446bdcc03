#include "emu/homemade_hotplug_lock.h"

#include "locks/guards.h"

namespace memhp {

void homemade_hotplug_lock::get_locked() {
  refcount_.store(refcount_.load(std::memory_order_relaxed) + 1,
                  std::memory_order_relaxed);
}

// The analysis sees the mutex inside, not that it stands for the lock.
void homemade_hotplug_lock::lock_shared() NO_THREAD_SAFETY_ANALYSIS {
  if (writer_is_me()) return;
  lockdep::acquire(
      map_, {.read = read_kind::recursive_read, .ip = __builtin_return_address(0)});
  {
    guard hold{lock_};
    get_locked();
  }
  lockdep::acquired(map_);
}

bool homemade_hotplug_lock::try_lock_shared() NO_THREAD_SAFETY_ANALYSIS {
  if (writer_is_me()) return true;
  if (!lock_.try_lock()) return false;
  get_locked();
  lock_.unlock();
  lockdep::acquire(map_, {.read = read_kind::recursive_read,
                          .trylock = true,
                          .ip = __builtin_return_address(0)});
  lockdep::acquired(map_);
  return true;
}

void homemade_hotplug_lock::unlock_shared() NO_THREAD_SAFETY_ANALYSIS {
  if (writer_is_me()) return;
  {
    guard hold{lock_};
    const int left = refcount_.load(std::memory_order_relaxed) - 1;
    refcount_.store(left, std::memory_order_relaxed);
    // Whoever wrote its name last, not whoever waits.
    const task_id writer = active_writer_.load(std::memory_order_relaxed);
    if (left == 0 && writer != nullptr)
      for (sleeper* const each : sleepers_)
        if (each->task == writer) each->woken.store(true, std::memory_order_release);
  }
  writer_sleeps_.wake_all();
  lockdep::release(map_);
}

void homemade_hotplug_lock::wait_for_readers(sleeper& me) {
  writer_sleeps_.wait([&] { return me.woken.load(std::memory_order_acquire); });
}

void homemade_hotplug_lock::lock() NO_THREAD_SAFETY_ANALYSIS {
  active_writer_.store(&lockdep::current(), std::memory_order_relaxed);
  lockdep::acquire(map_, {.ip = __builtin_return_address(0)});
  for (;;) {
    lock_.lock();
    if (refcount_.load(std::memory_order_relaxed) == 0) break;
    sleeper me{.task = &lockdep::current()};
    sleepers_.push_back(&me);
    lock_.unlock();
    wait_for_readers(me);
    guard hold{lock_};
    std::erase(sleepers_, &me);
  }
  lockdep::acquired(map_);
}

void homemade_hotplug_lock::unlock() NO_THREAD_SAFETY_ANALYSIS {
  active_writer_.store(nullptr, std::memory_order_relaxed);
  lock_.unlock();
  lockdep::release(map_);
}

}  // namespace memhp
