// The memory balloon of a Xen guest: devices/system/xen_memory/xen_memory0.
//
// A write to target_kb (KiB) or target (bytes) says how much memory the guest is to have.
// Below what it has, the balloon takes free pages out of online blocks; above, it gives
// back what it took, and adds memory once there is no more of that. The pages of an added
// block belong to the balloon when it goes online, and are given out up to the target.
//
// Pages in the balloon are reserved ones (page_flag::reserved): their block cannot go
// offline. nodeN/meminfo counts them as used.
//
// Locks: balloon_mutex is let go before add_memory(), whose callbacks take it; that takes
// device_hotplug_lock where lock_rules::add says so.
//
// Thread safety: any thread. Mirrors drivers/xen/balloon.c and xen-balloon.c (6.1).
#pragma once

#include <atomic>
#include <vector>

#include "blocks/memory_notifier.h"
#include "emu/device.h"
#include "emu/kernel.h"

namespace memhp {

class xen_balloon final : public device {
 public:
  // Before boot memory is there.
  explicit xen_balloon(kernel& k);
  ~xen_balloon() override;

  // Boot memory is what the guest begins with.
  void boot();
  void set_new_target(std::uint64_t pages);

  // balloon_stats; each may be read by any thread.
  struct statistics {
    std::atomic<std::uint64_t> current_pages = 0;
    std::atomic<std::uint64_t> target_pages = 0;
    std::atomic<std::uint64_t> total_pages = 0;  // the current ones, and the balloon's
    std::atomic<std::uint64_t> balloon_low = 0;
    std::atomic<std::uint64_t> schedule_delay = 1;  // seconds
    std::atomic<std::uint64_t> max_schedule_delay = 32;
    std::atomic<std::uint64_t> retry_count = 1;
    std::atomic<std::uint64_t> max_retry_count = 4;
  } stats;

 private:
  // What a turn of the balloon's thread ends with: nothing left to do, blocks that must
  // go online first, too few pages now, or no way.
  enum class bp_state : std::uint8_t { done, wait, again, canceled };

  void queue_work();
  void work();
  bp_state turn();
  bp_state increase_reservation(std::uint64_t pages) REQUIRES(mutex_);
  bp_state decrease_reservation(std::uint64_t pages) REQUIRES(mutex_);
  bp_state reserve_additional_memory();
  void append(const memory_notify& what);
  result<> notified(memory_event event, const memory_notify& what);

  const bus_type bus_;
  device subsystem_;
  kernfs_ref info_;
  const memory_notifier notifier_;

  static constexpr lock_class_key mutex_key{.name = "balloon_mutex"};
  tracked_mutex mutex_{mutex_key};
  struct ballooned_page {
    pfn frame;
    int nid;
  };
  std::vector<ballooned_page> ballooned_ GUARDED_BY(mutex_);
};

}  // namespace memhp
