// An active reference: what show and store of a file hold while they run, and what the
// removal of the file waits for.
//
// To the validator it is a lock: a reference is a read that never waits (a trylock), the
// drain a write; its class is the attribute, so all files made from one attribute are one
// class. Directories and links have references that it is not told about.
//
// Thread safety: every function may be called by any thread. deactivate() at most once;
// drain() after it, with no lock held that a holder of a reference takes.
//
// Mirrors kernfs_get_active(), kernfs_put_active() and kernfs_drain() (fs/kernfs/dir.c).
// Since 6.1 the kernel tells lockdep of a drain only if it finds a reference out
// (lock_rules::drain); the default era does it always, as before, so that an order is
// seen also when nobody happens to be there.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#include "emu/lock_rules.h"
#include "locks/execution.h"
#include "locks/tracked.h"

namespace memhp {

// What the validator is told of references: how reports call them, and when it hears of
// a drain.
struct active_dep {
  std::string_view name = "kn->active";  // must outlive everything
  drain_report drain = drain_report::always;
};

class active_reference {
 public:
  active_reference();
  ~active_reference();
  active_reference(const active_reference&) = delete;
  active_reference& operator=(const active_reference&) = delete;

  // From now on the validator is told: `attribute` is the class. Before first use.
  void set_class(const void* attribute, const active_dep& dep = {}) {
    map_.emplace(attribute, lock_class_key{.name = dep.name, .wait_type = 0});
  }

  // False once deactivated.
  bool get();
  // Gives one back and wakes `drains`, if that was the last one of a dying node.
  void put(tracked_wait_queue& drains);

  // get() fails from now on.
  void deactivate();
  // Waits on `drains` until every reference is back.
  void drain(tracked_wait_queue& drains, const active_dep& dep = {});

  // True until deactivate().
  bool active() const { return count_.load(std::memory_order_acquire) >= 0; }

 private:
  // Whether every reference is back, after deactivate().
  bool is_drained() const {
    return count_.load(std::memory_order_acquire) == deactivated;
  }
  void tell_of_drain(const active_dep& dep);

  static constexpr std::int32_t deactivated = INT32_MIN;

  std::optional<dep_map> map_;
  // References that are out, plus `deactivated` once that is so.
  std::atomic<std::int32_t> count_ = 0;
  object_id object_ = 0;  // of a controlled execution
};

}  // namespace memhp
