#include "emu/active_reference.h"

namespace memhp {

active_reference::active_reference() {
  if (controlled != nullptr) [[unlikely]]
    object_ = controlled->add(lock_kind::active_reference, active_dep{}.name);
}

active_reference::~active_reference() {
  if (object_ != 0 && controlled != nullptr) [[unlikely]]
    controlled->remove(object_);
}

bool active_reference::get() {
  if (controlled != nullptr && controlled->at(lock_op::get_active, object_) == 0)
      [[unlikely]]
    return false;
  std::int32_t seen = count_.load(std::memory_order_relaxed);
  do {
    if (seen < 0) return false;
  } while (!count_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire));
  // It never waits, so to the validator it is a trylock.
  if (map_) {
    lockdep::acquire(*map_, {.read = read_kind::read, .trylock = true});
    lockdep::acquired(*map_);
  }
  return true;
}

void active_reference::put(tracked_wait_queue& drains) {
  if (map_) lockdep::release(*map_);
  if (controlled != nullptr) [[unlikely]]
    controlled->at(lock_op::put_active, object_);
  // The release makes what the operation did visible to the drain that waits for it.
  const std::int32_t left = count_.fetch_sub(1, std::memory_order_acq_rel) - 1;
  if (left == deactivated && controlled == nullptr) drains.wake_all();
}

void active_reference::deactivate() {
  // The step first: what others observe changes when it is chosen to run.
  if (controlled != nullptr) [[unlikely]]
    controlled->at(lock_op::deactivate, object_);
  count_.fetch_add(deactivated, std::memory_order_acq_rel);
}

void active_reference::tell_of_drain(const active_dep& dep) {
  if (dep.drain == drain_report::if_it_waits) {
    if (!is_drained()) lockdep::wait_for(*map_);
  } else {
    lockdep::wait_for(*map_);
  }
}

// Not inlined: reports show it, as the kernel's do.
[[gnu::noinline]] void active_reference::drain(tracked_wait_queue& drains,
                                               const active_dep& dep) {
  if (map_) tell_of_drain(dep);
  if (controlled != nullptr) [[unlikely]] {
    controlled->at(lock_op::drain, object_);
    return;
  }
  drains.wait([this] { return is_drained(); });
}

}  // namespace memhp
