#include "emu/hung_task.h"

#include <string>
#include <utility>

#include "emu/eras.h"
#include "emu/hung_task_report.h"
#include "emu/kernel.h"
#include "locks/lockdep.h"
#include "locks/report_words.h"

namespace memhp {

// Forgets the waits that are over, remembers when it saw the others first.
void hung_task_detector::note(std::chrono::nanoseconds now) {
  std::map<std::uint64_t, seen> still;
  for (const std::uint64_t wait : blocked_tasks::waits()) {
    const auto known = waits_.find(wait);
    still.emplace(wait, known != waits_.end() ? known->second : seen{.since = now});
  }
  waits_ = std::move(still);
}

// Takes one of what is left.
bool hung_task_detector::may_warn() {
  std::int64_t left = warnings.load(std::memory_order_relaxed);
  while (left > 0)
    if (warnings.compare_exchange_weak(left, left - 1, std::memory_order_relaxed))
      return true;
  return left < 0;
}

bool hung_task_detector::report(std::uint64_t wait, std::chrono::nanoseconds blocked) {
  const auto task = blocked_tasks::find(wait);
  if (!task || !may_warn()) return false;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(blocked);
  k_.printk(to_text(hung_task{.task = task->task,
                              .seconds = static_cast<unsigned long>(seconds.count()),
                              .stack = task->where,
                              .held = {},
                              .waits_for = {}},
                    era_of(k_.rules).words),
            log_level::error);
  return true;
}

void hung_task_detector::show_all_locks() const {
  if (!lockdep::on()) {
    k_.printk("INFO: lockdep is turned off.", log_level::warning);
    return;
  }
  std::string text = "\nShowing all locks held in the system:\n";
  for (const lockdep::task_locks& each : lockdep::all_held_locks())
    text += held_locks_text(each.task, each.held, era_of(k_.rules).words);
  k_.printk(text + "\n=============================================\n\n",
            log_level::warning);
}

void hung_task_detector::check(std::chrono::nanoseconds now) {
  note(now);
  const std::uint64_t limit = timeout_secs.load(std::memory_order_relaxed);
  if (limit == 0) return;
  bool any = false;
  for (auto& [wait, seen] : waits_) {
    const std::chrono::nanoseconds blocked = now - seen.since;
    if (seen.reported ||
        static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::seconds>(blocked).count()) < limit)
      continue;
    seen.reported = report(wait, blocked);
    any |= seen.reported;
  }
  if (any) show_all_locks();
}

}  // namespace memhp
