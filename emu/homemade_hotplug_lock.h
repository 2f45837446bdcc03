// The reader/writer lock that hotplug had before it used percpu rwsems: a mutex, a count
// of readers, and the writer's name.
//
// What it does differently from a percpu rwsem, good and bad:
//   1. Readers nest, and the writer may read too: whoever finds its own name in
//      active_writer goes straight on.
//   2. Readers starve writers. A writer that waits for the readers has the mutex dropped,
//      so others come in; only who holds the lock to write keeps them out.
//   3. A writer writes its name before it owns anything. A second one overwrites it, and
//      the first then waits for itself as soon as it reads; the last reader wakes the
//      name that it finds, and the first writer may sleep for ever.
//      memory_add_remove_lock (55adc1d05dca) kept writers apart.
//   4. To lockdep the reads are recursive ones, told of under a name of its own, and the
//      mutex inside is a second class, for mem_hotplug of the same name.
//
// Thread safety: as a reader/writer lock. Tasks are told apart by lockdep::current().
//
// Mirrors get_online_mems(), put_online_mems(), mem_hotplug_begin() and
// mem_hotplug_done() (mm/memory_hotplug.c, bfc8c90139eb, 3.16 to 4.12), and
// get_online_cpus(), put_online_cpus(), cpu_hotplug_begin() and cpu_hotplug_done()
// (kernel/cpu.c) of the same time.
#pragma once

#include <string_view>
#include <vector>

#include "locks/cell.h"
#include "locks/lockdep.h"
#include "locks/thread_annotations.h"
#include "locks/tracked.h"

namespace memhp {

class CAPABILITY("homemade_hotplug_lock") homemade_hotplug_lock {
 public:
  // `map`: as lockdep knows it; `inside`: its mutex.
  homemade_hotplug_lock(const lock_class_key& map, const lock_class_key& inside)
      : map_{map}, lock_{inside} {}

  void lock_shared() ACQUIRE_SHARED();
  bool try_lock_shared() TRY_ACQUIRE_SHARED(true);
  void unlock_shared() RELEASE_SHARED();
  void lock() ACQUIRE();
  void unlock() RELEASE();

  // Whether this task holds it to write.
  bool held_by_me() const { return lock_.held_by_me(); }
  // Whether somebody reads it, or writes.
  bool is_held() const { return refcount_.load(std::memory_order_relaxed) != 0; }
  const dep_map& map() const { return map_; }
  std::string_view name() const { return map_.name(); }

 private:
  using task_id = const lockdep::task_state*;
  // A writer that waits for the readers to go.
  struct sleeper {
    task_id task;
    atomic_cell<bool> woken{"writer->state", false};
  };

  bool writer_is_me() const {
    return active_writer_.load(std::memory_order_relaxed) == &lockdep::current();
  }
  void get_locked() REQUIRES(lock_);
  void wait_for_readers(sleeper& me);

  mutable dep_map map_;
  atomic_cell<task_id> active_writer_{"active_writer", nullptr};  // as written last
  tracked_mutex lock_;
  atomic_cell<int> refcount_{"refcount", 0};  // written under lock_
  std::vector<sleeper*> sleepers_ GUARDED_BY(lock_);
  tracked_wait_queue writer_sleeps_{"mem_hotplug_begin()"};
};

}  // namespace memhp
