// The memory notifier chain: who is asked before memory goes online or offline, and
// told afterwards.
//
// Thread safety: any thread. The chain's rwsem is held to read while callbacks run, so a
// callback must not register or unregister.
//
// Mirrors memory_notify() (drivers/base/memory.c) and the blocking notifier chain
// (kernel/notifier.c, 6.1).
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "blocks/result.h"
#include "blocks/units.h"
#include "locks/tracked.h"

namespace memhp {

enum class memory_event : std::uint8_t {
  going_online,
  cancel_online,
  online,
  going_offline,
  cancel_offline,
  offline,
};

constexpr std::string_view to_string(memory_event event) {
  switch (event) {
    using enum memory_event;
    case going_online: return "MEM_GOING_ONLINE";
    case cancel_online: return "MEM_CANCEL_ONLINE";
    case online: return "MEM_ONLINE";
    case going_offline: return "MEM_GOING_OFFLINE";
    case cancel_offline: return "MEM_CANCEL_OFFLINE";
    case offline: return "MEM_OFFLINE";
  }
  return "?";
}

struct memory_notify {
  phys_range range;
  int nid = 0;
};

// A callback. An error vetoes a going_* event; it is ignored for the others.
struct memory_notifier {
  std::string_view name;
  int priority = 0;  // higher is called earlier
  std::function<result<>(memory_event, const memory_notify&)> call;
};

class memory_notifier_chain {
 public:
  // register_memory_notifier(): same priority, same order as registered. The notifier
  // must stay until it is unregistered.
  void add(const memory_notifier& notifier);
  void remove(const memory_notifier& notifier);

  // Calls everybody in order until one fails, and returns that error. The caller then
  // sends the matching cancel event, which goes to ALL, also to those that never saw
  // the event that is cancelled.
  result<> call(memory_event event, const memory_notify& what);

 private:
  static constexpr lock_class_key lock_key{.name = "(memory_chain).rwsem"};
  tracked_rw_semaphore rwsem_{lock_key};
  std::vector<const memory_notifier*> chain_ GUARDED_BY(rwsem_);
};

}  // namespace memhp
