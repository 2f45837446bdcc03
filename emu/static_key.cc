#include "emu/static_key.h"

#include "locks/guards.h"

namespace memhp {

void static_key_enable_cpuslocked(hotplug_locks& locks, static_key& key) {
  if (key.enabled()) return;
  guard hold{locks.jump_label_mutex};
  key.enabled_.store(true, std::memory_order_release);
}

// Not inlined: lock reports show it, as the kernel's do.
[[gnu::noinline]] void static_key_enable(hotplug_locks& locks, static_key& key) {
  read_guard cpus{locks.cpu_hotplug_lock};
  static_key_enable_cpuslocked(locks, key);
}

}  // namespace memhp
