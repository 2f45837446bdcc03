#include "emu/cpu_hotplug.h"

#include <algorithm>

#include "emu/cpu_device.h"
#include "emu/kernel.h"
#include "locks/guards.h"

namespace memhp {

cpu_hotplug::cpu_hotplug(hotplug_locks& locks, unsigned cpus)
    : locks_{locks}, cpus_{cpus} {
  for (unsigned cpu = 0; cpu < cpus; ++cpu) online_.emplace_back("cpu_online", true);
}

void cpu_hotplug::cpuhp_setup_state(const cpuhp_step& step) {
  read_guard cpus{locks_.cpu_hotplug_lock};
  guard hold{cpuhp_state_mutex_};
  const auto behind = std::ranges::upper_bound(steps_, step.state, {},
                                               [](const auto* s) { return s->state; });
  steps_.insert(behind, &step);
}

void cpu_hotplug::cpuhp_remove_state(const cpuhp_step& step) {
  read_guard cpus{locks_.cpu_hotplug_lock};
  guard hold{cpuhp_state_mutex_};
  std::erase(steps_, &step);
}

// The four below are not inlined: lock reports show them, as the kernel's do.

[[gnu::noinline]] result<> cpu_hotplug::cpuhp_invoke_callback(const cpuhp_step& step,
                                                              bool up, unsigned cpu) {
  const auto& call = up ? step.startup : step.teardown;
  auto done = call ? call(cpu) : result<>{};
  return done;
}

// Calls every step on the way. After an error those that were called are taken back, in
// reverse, and what they answer then does not count.
[[gnu::noinline]] result<> cpu_hotplug::cpuhp_invoke_callback_range(bool up,
                                                                    unsigned cpu) {
  const std::size_t count = steps_.size();
  const auto at = [&](std::size_t i) -> const cpuhp_step& {
    return *steps_[up ? i : count - 1 - i];
  };
  for (std::size_t i = 0; i < count; ++i) {
    auto ok = cpuhp_invoke_callback(at(i), up, cpu);
    if (ok) continue;
    while (i-- > 0) (void)cpuhp_invoke_callback(at(i), !up, cpu);
    return ok;
  }
  return {};
}

// The CPU leaves the mask before the callbacks run, as the dying CPU does
// before its dead-state callbacks: they run on the CPU that asked.
[[gnu::noinline]] result<> cpu_hotplug::_cpu_down(unsigned cpu) {
  if (!cpu_online(cpu)) return {};
  if (num_online_cpus() == 1) return fail(errc::device_or_resource_busy);
  guard cpus{locks_.cpu_hotplug_lock};
  online_[cpu].store(false, std::memory_order_release);
  auto ok = cpuhp_invoke_callback_range(false, cpu);
  if (!ok) online_[cpu].store(true, std::memory_order_release);
  return ok;
}

[[gnu::noinline]] result<> cpu_hotplug::_cpu_up(unsigned cpu) {
  if (cpu_online(cpu)) return {};
  guard cpus{locks_.cpu_hotplug_lock};
  auto ok = cpuhp_invoke_callback_range(true, cpu);
  if (ok) online_[cpu].store(true, std::memory_order_release);
  return ok;
}

[[gnu::noinline]] result<> cpu_hotplug::cpu_down(unsigned cpu) {
  if (cpu >= cpus_) return fail(errc::invalid_argument);
  guard hold{locks_.cpu_add_remove_lock};
  auto done = _cpu_down(cpu);
  return done;
}

[[gnu::noinline]] result<> cpu_hotplug::cpu_up(unsigned cpu) {
  if (cpu >= cpus_) return fail(errc::invalid_argument);
  guard hold{locks_.cpu_add_remove_lock};
  auto done = _cpu_up(cpu);
  return done;
}

unsigned cpu_hotplug::num_online_cpus() const {
  unsigned online = 0;
  for (unsigned cpu = 0; cpu < cpus_; ++cpu) online += cpu_online(cpu) ? 1 : 0;
  return online;
}

std::vector<unsigned> cpu_hotplug::online_cpus() const {
  std::vector<unsigned> found;
  for (unsigned cpu = 0; cpu < cpus_; ++cpu)
    if (cpu_online(cpu)) found.push_back(cpu);
  return found;
}

std::vector<unsigned> cpu_hotplug::offline_cpus() const {
  std::vector<unsigned> found;
  for (unsigned cpu = 0; cpu < cpus_; ++cpu)
    if (!cpu_online(cpu)) found.push_back(cpu);
  return found;
}

std::vector<unsigned> cpu_hotplug::online_among(const std::vector<unsigned>& cpus) const {
  std::vector<unsigned> found;
  for (const unsigned cpu : cpus)
    if (cpu_online(cpu)) found.push_back(cpu);
  return found;
}

[[gnu::noinline]] result<> add_cpu(kernel& k, unsigned cpu) {
  if (cpu >= k.cpu->count()) return fail(errc::invalid_argument);
  task kthread;
  guard hold{k.locks.device_hotplug_lock};
  const auto done = device_online(*k.cpu->devices[cpu], kthread);
  if (!done) return fail(done.error());
  return {};
}

[[gnu::noinline]] result<> remove_cpu(kernel& k, unsigned cpu) {
  if (cpu >= k.cpu->count()) return fail(errc::invalid_argument);
  task kthread;
  guard hold{k.locks.device_hotplug_lock};
  const auto done = device_offline(*k.cpu->devices[cpu], kthread);
  if (!done) return fail(done.error());
  return {};
}

}  // namespace memhp
