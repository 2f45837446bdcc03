// CPU hotplug: CPUs that go down and come up, and who is told on the way.
//
// A CPU is at some state of a ladder. Going down it is taken from the highest state to
// the lowest, and whoever registered at a state is called when the CPU leaves it; going
// up, when it enters it. An error sends it back to where it came from.
//
// Lock order: cpu_add_remove_lock -> cpu_hotplug_lock (write), which is held while the
// callbacks run. A callback must not take cpu_hotplug_lock in any mode, and nobody may
// wait for a CPU to go down while holding a lock that a callback takes (seed 003).
//
// Thread safety: any thread. Mirrors kernel/cpu.c (6.1).
#pragma once

#include <deque>
#include <functional>
#include <string_view>
#include <vector>

#include "blocks/result.h"
#include "emu/hotplug_locks.h"
#include "locks/cell.h"

namespace memhp {

struct kernel;

// enum cpuhp_state: the steps of the ladder that anything here hangs on, lowest first.
enum class cpuhp_state : std::uint8_t {
  offline,
  slub_dead,
  topology_prepare,
  ap_online_dyn,
  online,
};

// What happens at a state. An empty function: nothing.
struct cpuhp_step {
  cpuhp_state state;
  std::string_view name;
  std::function<result<>(unsigned cpu)> startup;   // when a CPU comes up to the state
  std::function<result<>(unsigned cpu)> teardown;  // when it goes below it
};

class cpu_hotplug {
 public:
  // CPUs 0 to `cpus` - 1, all online.
  cpu_hotplug(hotplug_locks& locks, unsigned cpus);

  // cpuhp_setup_state_nocalls() and cpuhp_remove_state_nocalls(). Take cpu_hotplug_lock
  // to read, so not from a callback. Steps of one state run in the order of their
  // registration, and backwards on the way down. The step must stay until it is removed.
  void cpuhp_setup_state(const cpuhp_step& step);
  void cpuhp_remove_state(const cpuhp_step& step);

  // device_or_resource_busy for the last CPU that is online, invalid_argument for a CPU
  // that does not exist; success for one that is there already; else what a callback
  // returned. Take cpu_add_remove_lock; the callers hold device_hotplug_lock.
  result<> cpu_down(unsigned cpu);
  result<> cpu_up(unsigned cpu);

  // cpu_online_mask. A single look is always right; to rely on it hold cpu_hotplug_lock.
  bool cpu_online(unsigned cpu) const {
    return cpu < cpus_ && online_[cpu].load(std::memory_order_acquire);
  }
  unsigned nr_cpu_ids() const { return cpus_; }
  unsigned num_online_cpus() const;
  std::vector<unsigned> online_cpus() const;
  std::vector<unsigned> offline_cpus() const;
  // Those of `cpus` that are online.
  std::vector<unsigned> online_among(const std::vector<unsigned>& cpus) const;

 private:
  // NOLINTBEGIN(readability-identifier-naming): the kernel's names, for the reports
  result<> _cpu_down(unsigned cpu) REQUIRES(locks_.cpu_add_remove_lock);
  result<> _cpu_up(unsigned cpu) REQUIRES(locks_.cpu_add_remove_lock);
  // NOLINTEND(readability-identifier-naming)
  result<> cpuhp_invoke_callback(const cpuhp_step& step, bool up, unsigned cpu)
      REQUIRES(locks_.cpu_hotplug_lock);
  result<> cpuhp_invoke_callback_range(bool up, unsigned cpu)
      REQUIRES(locks_.cpu_hotplug_lock);

  // Constant after construction.
  hotplug_locks& locks_;
  const unsigned cpus_;

  // Written under cpu_hotplug_lock held to write, readable at any time.
  std::deque<atomic_cell<bool>> online_;  // by number; it never grows

  // Steps, lowest state first. Changed under cpu_hotplug_lock held to read AND
  // cpuhp_state_mutex; read by whoever holds cpu_hotplug_lock to write, which keeps both
  // kinds of change out.
  static constexpr lock_class_key cpuhp_state_mutex_key{.name = "cpuhp_state_mutex"};
  tracked_mutex cpuhp_state_mutex_ ACQUIRED_AFTER(locks_.cpu_hotplug_lock){
      cpuhp_state_mutex_key};
  std::vector<const cpuhp_step*> steps_;
};

// add_cpu() and remove_cpu(): online and offline of the CPU's device, for callers without
// any lock. invalid_argument if there is no such CPU, operation_not_permitted for CPU 0.
result<> add_cpu(kernel& k, unsigned cpu);
result<> remove_cpu(kernel& k, unsigned cpu);

}  // namespace memhp
