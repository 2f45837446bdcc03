// The orders of locks that the validator has seen, as facts: for drawings.
//
// Thread safety: lock_orders is plain data; lockdep::orders() may be called by any
// thread.
#pragma once

#include <cstdint>
#include <vector>

#include "locks/lockdep_report.h"
#include "locks/stack_trace.h"

namespace memhp {

// How the two locks of an order were taken; more than one may have been seen. Bits.
enum class order_mode : std::uint8_t {
  write_write = 1,  // held to write, wanted to write
  write_read = 2,
  read_write = 4,
  read_read = 8,
};

// Somebody held a lock of one class and wanted one of another.
struct lock_order {
  std::size_t held;  // indices into lock_orders::classes
  std::size_t wanted;
  std::uint8_t modes = 0;  // order_modes
  bool on_cycle = false;   // of orders that can deadlock
  // Of the first time: where the one was taken, and who wanted the other, where.
  stack_frame held_at;
  stack_trace wanted_at;
};

struct lock_orders {
  std::vector<reported_class> classes;  // in the order in which they were first taken
  std::vector<lock_order> orders;       // as they were first seen
};

namespace lockdep {

// All that was learned since the last reset(). O(orders * orders) if everything is on a
// cycle.
lock_orders orders();

}  // namespace lockdep
}  // namespace memhp
