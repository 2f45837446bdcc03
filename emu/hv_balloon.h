// The memory balloon of a Hyper-V guest, as far as it adds memory: the host asks, a
// kworker adds section after section.
//
// kernel/debug/memhp/hv_balloon takes what comes over VMBus on a real guest,
// "hot_add ADDRESS PAGES". After each section the worker waits until some block went
// online, or for ol_waitevent_ms: it must not add faster than user space onlines. That it
// did not come in time is no error. The wait occupies no thread: what goes on after it is
// another work item.
//
// Locks: nothing is held when it calls add_memory(), which takes device_hotplug_lock
// where lock_rules::add says so. Without it this worker met udev in seed 001.
//
// Thread safety: any thread. Mirrors drivers/hv/hv_balloon.c (6.1).
#pragma once

#include <vector>

#include "blocks/memory_notifier.h"
#include "emu/kernel.h"

namespace memhp {

class hv_balloon final : public kobject {
 public:
  explicit hv_balloon(kernel& k);
  ~hv_balloon() override;

  static constexpr unsigned ol_waitevent_ms = 5000;

  // A request of the host; done later, after those before it. invalid_argument unless
  // whole sections; operation_not_permitted once one of them lay where something else is:
  // the driver then takes no more.
  result<> hot_add(phys_range range);
  // As if ol_waitevent_ms had passed. no_such_process (ESRCH) if nothing waits.
  result<> expire();
  // What is going on, as the file shows it.
  std::string status();

  kernel& k;

 private:
  // The section that a kworker may add: the kernel's HA_CHUNK, or a block if that is
  // more.
  std::uint64_t section() const;
  void queue_work();
  void work();
  void wait_for_online();
  void goes_on(std::uint64_t wait);
  result<> notified(memory_event event, const memory_notify& what);

  const memory_notifier notifier_;
  static constexpr lock_class_key lock_key{.name = "&dm_device.ha_lock"};
  tracked_mutex lock_{lock_key};
  std::vector<phys_range> requests_ GUARDED_BY(lock_);  // what is left of each
  std::vector<phys_range> added_ GUARDED_BY(lock_);
  std::uint64_t pages_onlined_ GUARDED_BY(lock_) = 0;
  bool do_hot_add_ GUARDED_BY(lock_) = true;
  bool busy_ GUARDED_BY(lock_) = false;        // a work item is queued, runs or waits
  bool waiting_ GUARDED_BY(lock_) = false;     // between two of them
  bool completed_ GUARDED_BY(lock_) = false;   // ol_waitevent
  std::uint64_t waits_ GUARDED_BY(lock_) = 0;  // so far; tells an old timer from this one
};

}  // namespace memhp
