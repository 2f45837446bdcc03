// A tour of everything in a kernel that takes locks, one step after the other: CPUs that
// go down and come up, slab caches, memory blocks that go online and offline, and every
// way in which memory comes and goes on every platform. Nothing races, so nothing hangs;
// the validator learns the orders of an era from it.
//
// Thread safety: as run_scenario().
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "emu/lock_rules.h"
#include "locks/lock_orders.h"
#include "locks/lockdep_report.h"

namespace memhp {

struct tour_findings {
  lock_orders learned;
  std::vector<lockdep_report> reports;  // all that there were
};

// On the caller's thread. The error is the first step that failed, which is none in any
// era.
std::expected<tour_findings, std::string> tour_machines(const lock_rules& rules,
                                                        bool validate_dev_mutex = false);

}  // namespace memhp
