// mem_hotplug_begin() and mem_hotplug_done() around a piece of work.
//
// The work is a function object, called once on the caller's thread; what it returns is
// returned. It asserts what it needs to hold, as the analysis does not see through the
// call.
//
// Mirrors mm/memory_hotplug.c.
#pragma once

#include "emu/kernel.h"
#include "locks/guards.h"

namespace memhp {

// lock_rules::design.
template <class Work>
[[gnu::always_inline]] inline auto with_mem_hotplug_lock(kernel& k, Work work) {
  switch (k.rules.design) {
    using enum hotplug_lock_design;
    case home_made: {
      guard mem{k.locks.mem_hotplug_lock};
      return work();
    }
    case home_made_one_writer: {
      guard writers{k.locks.memory_add_remove_lock};
      guard mem{k.locks.mem_hotplug_lock};
      return work();
    }
    case cpu_then_mem: break;
  }
  read_guard cpus{k.locks.cpu_hotplug_lock};
  guard mem{k.locks.mem_hotplug_lock};
  return work();
}

// lock_rules::scope: the lock around `work` in kernels where it belongs at this place,
// and `work` alone in those where it belongs at the other.
template <class Work>
[[gnu::always_inline]] inline auto with_mem_hotplug_lock_at(mem_hotplug_scope place,
                                                            kernel& k, Work work) {
  if (k.rules.scope == place) return with_mem_hotplug_lock(k, work);
  return work();
}

}  // namespace memhp
