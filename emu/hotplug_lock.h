// cpu_hotplug_lock and mem_hotplug_lock: a percpu rwsem, or what kernels had before.
//
// Thread safety: as a reader/writer lock. Mirrors kernel/cpu.c and mm/memory_hotplug.c;
// which of the two it is, is up to lock_rules::design.
#pragma once

#include <optional>
#include <source_location>
#include <string_view>

#include "emu/homemade_hotplug_lock.h"
#include "locks/thread_annotations.h"
#include "locks/tracked.h"

namespace memhp {

class CAPABILITY("hotplug_lock") hotplug_lock {
 public:
  explicit hotplug_lock(const lock_class_key& percpu) { percpu_.emplace(percpu); }
  hotplug_lock(const lock_class_key& map, const lock_class_key& inside) {
    home_made_.emplace(map, inside);
  }

  // The analysis takes this lock and the one inside for two.

  [[gnu::always_inline]] void lock_shared() ACQUIRE_SHARED() NO_THREAD_SAFETY_ANALYSIS {
    if (percpu_) [[likely]]
      percpu_->lock_shared();
    else
      home_made_->lock_shared();
  }
  [[gnu::always_inline]] bool try_lock_shared()
      TRY_ACQUIRE_SHARED(true) NO_THREAD_SAFETY_ANALYSIS {
    return percpu_ ? percpu_->try_lock_shared() : home_made_->try_lock_shared();
  }
  [[gnu::always_inline]] void unlock_shared() RELEASE_SHARED() NO_THREAD_SAFETY_ANALYSIS {
    if (percpu_) [[likely]]
      percpu_->unlock_shared();
    else
      home_made_->unlock_shared();
  }
  [[gnu::always_inline]] void lock() ACQUIRE() NO_THREAD_SAFETY_ANALYSIS {
    if (percpu_) [[likely]]
      percpu_->lock();
    else
      home_made_->lock();
  }
  [[gnu::always_inline]] void unlock() RELEASE() NO_THREAD_SAFETY_ANALYSIS {
    if (percpu_) [[likely]]
      percpu_->unlock();
    else
      home_made_->unlock();
  }

  // Whether this task holds it to write.
  bool held_by_me() const {
    return percpu_ ? percpu_->held_by_me() : home_made_->held_by_me();
  }
  // lockdep_assert_held_write(): aborts, validator or not.
  void assert_held_write(std::source_location where =
                             std::source_location::current()) const ASSERT_HELD(this) {
    if (!held_by_me()) [[unlikely]]
      detail::not_held(map(), "lock must be held for writing here", lockdep::hold::write,
                       where);
  }
  // The same for kernels that break the rule: the validator says so, if it is on.
  void expect_held_write(std::source_location where) const ASSERT_HELD(this) {
    if (!held_by_me()) [[unlikely]]
      lockdep::assert_held_write(map(), where);
  }
  void assert_held_read(std::source_location where = std::source_location::current())
      const ASSERT_HELD_SHARED(this) NO_THREAD_SAFETY_ANALYSIS {
    if (percpu_) return percpu_->assert_held_read(where);
    const bool somebody = home_made_->held_by_me() || home_made_->is_held();
    if (!somebody || !lockdep::is_held(home_made_->map())) [[unlikely]]
      detail::not_held(home_made_->map(), "lock must be held for reading here",
                       lockdep::hold::any, where);
  }
  std::string_view name() const { return map().name(); }
  const dep_map& map() const { return percpu_ ? percpu_->map() : home_made_->map(); }

 private:
  // One of the two, for good.
  std::optional<tracked_percpu_rw_semaphore> percpu_;
  std::optional<homemade_hotplug_lock> home_made_;
};

}  // namespace memhp
