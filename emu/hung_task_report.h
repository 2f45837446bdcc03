// What the kernel prints about a task that waits too long: facts in, text out.
//
// Thread safety: pure functions. Layout of check_hung_task(), sched_show_task() and
// debug_show_all_locks() (kernel/hung_task.c, kernel/sched/core.c and
// kernel/locking/lockdep.c, 6.1). Texts end with a newline.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "locks/lockdep_report.h"
#include "locks/stack_trace.h"

namespace memhp {

// A task in uninterruptible sleep.
struct hung_task {
  reported_task task;
  unsigned long seconds = 120;      // it waits for more than so many
  stack_trace stack;                // where it waits, innermost first
  std::vector<reported_lock> held;  // outermost first; what it waits for is the last one
  std::string waits_for;  // for people, such as "lock of slab_mutex"; may be empty
};

// "INFO: task NAME:PID blocked for more than N seconds." and what follows it, with the
// task's stack.
std::string to_text(const hung_task& hung, const report_format& format,
                    const reported_kernel& kernel = {});

// The same for all of them, and then "Showing all locks held in the system:". Empty for
// none.
std::string hung_tasks_text(std::span<const hung_task> hung, const report_format& format,
                            const reported_kernel& kernel = {});

}  // namespace memhp
