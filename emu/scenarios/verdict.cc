#include "emu/scenarios/verdict.h"

#include <algorithm>

namespace memhp {
namespace {

bool goes_through(const stack_trace& stack, std::string_view function) {
  return std::ranges::any_of(stack.frames(), [&](const stack_frame& frame) {
    return symbolize(frame).find(function) != std::string::npos;
  });
}

}  // namespace

machine_config config_for(const scenario& s, const lock_rules& rules,
                          const scenario_options& options) {
  machine_config config = s.config;
  config.rules = rules;
  config.validate_dev_mutex = options.validate_dev_mutex;
  if (options.forced && s.adjust_forced != nullptr) s.adjust_forced(config.rules);
  return config;
}

bool is_its_business(const scenario& s, const lockdep_report& report) {
  if (const auto* cycle = std::get_if<circular_report>(&report))
    return s.kind == scenario_kind::deadlock &&
           std::ranges::any_of(cycle->chain,
                               [&](const auto& link) {
                                 return link.lock.name.find(s.reported_lock) !=
                                        std::string::npos;
                               }) &&
           std::ranges::any_of(cycle->chain, [&](const auto& link) {
             return goes_through(link.stack, s.reported_in);
           });
  if (const auto* broken = std::get_if<assert_report>(&report))
    return s.kind == scenario_kind::lost_update &&
           broken->assertion.find(s.reported_lock) != std::string::npos &&
           goes_through(broken->backtrace, s.reported_in);
  return false;
}

std::string difference(const scenario& s, const lock_rules& rules,
                       const scenario_options& options, const scenario_run& run) {
  if (!run.end.empty()) return "the run ended with: " + run.end;
  const bool reported = !run.reports.empty();
  // A run that is forced need not come to what lockdep would complain about.
  if (!options.forced && reported != s.is_reported(rules, options.validate_dev_mutex))
    return reported ? "a report, where this kernel has none"
                    : "no report, where this kernel has one";
  const bool wrong = options.forced && s.goes_wrong(rules);
  if (s.kind == scenario_kind::lost_update) {
    if (!run.finished) return "tasks hang, which they do in no kernel";
    if (wrong == run.lost.empty())
      return wrong ? "no update was lost, as it is in this kernel" : "lost: " + run.lost;
    return {};
  }
  if (wrong == !run.hung.empty()) return {};
  if (wrong) return "no task hangs, as tasks do in this kernel";
  const hung_task& first = run.hung.front();
  return "tasks hang, which they do not in this kernel: " +
         (first.waits_for.empty() ? first.task.comm : first.waits_for);
}

}  // namespace memhp
