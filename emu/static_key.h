// A static key: a switch that is free to test because setting it rewrites the code that
// tests it, on every CPU. Here it is a plain flag; what is kept is what setting it locks.
//
// Thread safety: any thread. static_key_enable() takes cpu_hotplug_lock to read and then
// jump_label_mutex, also when the key is on already: whoever calls it with a lock held
// that a CPU callback takes has made seed 003's cycle.
//
// Mirrors struct static_key and static_key_enable() (kernel/jump_label.c, 6.1).
#pragma once

#include "emu/hotplug_locks.h"
#include "locks/cell.h"

namespace memhp {

class static_key {
 public:
  // static_branch_unlikely().
  bool enabled() const { return enabled_.load(std::memory_order_acquire); }

 private:
  friend void static_key_enable_cpuslocked(hotplug_locks& locks, static_key& key);
  atomic_cell<bool> enabled_{"static_key", false};
};

void static_key_enable(hotplug_locks& locks, static_key& key);
// For callers that hold cpu_hotplug_lock: taking it to read a second time would wait
// behind a writer that waits for us.
void static_key_enable_cpuslocked(hotplug_locks& locks, static_key& key)
    REQUIRES_SHARED(locks.cpu_hotplug_lock);

}  // namespace memhp
