// Running a scenario: the machine on fibers, the validator that listens, and what is made
// of the end.
#include <algorithm>
#include <memory>
#include <utility>

#include "emu/scenarios/listening.h"
#include "emu/scenarios/scenario.h"
#include "emu/scenarios/verdict.h"
#include "locks/lockdep.h"

namespace memhp {
namespace {

// Seconds after which the kernel calls a task hung (hung_task_timeout_secs). Nobody waits
// for them here: that no task can run is known at once.
constexpr unsigned long hung_after_s = 120;

constexpr std::array<const scenario*, 6> scenarios = {
    &remove_vs_online,       &probe_vs_online,
    &online_without_lock,    &cpu_offline_vs_cache_create,
    &cache_destroy_vs_sysfs, &blocking_sysfs_lock};

std::vector<stage> one_after_the_other(const scenario& s) {
  std::vector<stage> all;
  all.reserve(s.tasks.size());
  for (const scenario_task& task : s.tasks) all.push_back({.task = task.name});
  return all;
}

// Without what the scheduler itself has below a task.
stack_trace task_part_of(const stack_trace& whole) {
  const auto frames = whole.frames();
  const auto end = std::ranges::find_if(frames, [](const stack_frame& frame) {
    return symbolize(frame).starts_with("fiber_scheduler::body_of");
  });
  return stack_trace{{frames.begin(), end}};
}

void note_end(const outcome& end, scenario_run& run) {
  run.finished = end.how == outcome::end::finished;
  if (end.how != outcome::end::finished && end.how != outcome::end::deadlock)
    run.end = end.what;
  for (const outcome::stuck_task& stuck : end.stuck)
    run.hung.push_back({.task = stuck.task,
                        .seconds = hung_after_s,
                        .stack = task_part_of(stuck.stack),
                        .held = stuck.held,
                        .waits_for = stuck.waits_for});
}

// The machine and its tasks, within the life of one scheduler.
class staged_machine {
 public:
  staged_machine(const scenario& s, fiber_scheduler& scheduler)
      : s_{s}, scheduler_{scheduler} {}

  // Empty, or why not.
  std::string boot(machine_config config) {
    machine_environment environment;
    environment.run_work = [this](std::function<void()> work) {
      scheduler_.add_task("kworker/1:1", std::move(work));
    };
    std::string error;
    scheduler_.outside([&] {
      auto booted = machine::boot(std::move(config), std::move(environment));
      if (!booted) {
        error = booted.error();
        return;
      }
      machine_ = std::move(*booted);
      s_.setup(*machine_);
    });
    if (!error.empty()) return error;
    for (const scenario_task& task : s_.tasks)
      scheduler_.add_task(std::string{task.name}, [this, &task] { task.run(*machine_); });
    return {};
  }

  std::string what_is_lost() {
    std::string lost;
    if (s_.what_is_lost != nullptr)
      scheduler_.outside([&] { lost = s_.what_is_lost(*machine_); });
    return lost;
  }

  void take_down() {
    scheduler_.outside([&] { machine_.reset(); });
  }

 private:
  const scenario& s_;
  fiber_scheduler& scheduler_;
  std::unique_ptr<machine> machine_;
};

}  // namespace

std::span<const scenario* const> all_scenarios() {
  return scenarios;
}

const scenario* find_scenario(std::string_view name) {
  const auto hit = std::ranges::find(scenarios, name, &scenario::name);
  return hit == scenarios.end() ? nullptr : *hit;
}

const lock_rules* scenario_rules(const scenario& s, std::string_view era) {
  if (era == "before") return &s.before;
  if (era == "after") return &s.after;
  return find_era(era);
}

std::expected<scenario_run, std::string> run_scenario(const scenario& s,
                                                      const lock_rules& rules,
                                                      const scenario_options& options) {
  scenario_run run;
  std::vector<lockdep_report> reports;
  {
    listening validator{reports};
    stack_pool stacks;
    fiber_scheduler scheduler{stacks};
    staged_machine staged{s, scheduler};
    const std::string error = staged.boot(config_for(s, rules, options));
    if (!error.empty()) return std::unexpected{error};
    if (options.record)
      scheduler.watch([&](const seen_step& step) {
        if (step.task > run.task_names.size()) run.task_names.resize(step.task);
        run.task_names[step.task - 1] = step.task_name;
        run.seen.push_back(step);
      });
    const outcome end =
        scheduler.forced(options.forced ? std::span{s.forced} : one_after_the_other(s));
    scheduler.watch(nullptr);
    validator.stop();
    if (options.learn) run.learned = lockdep::orders();
    note_end(end, run);
    if (run.finished) run.lost = staged.what_is_lost();
    staged.take_down();
  }
  for (lockdep_report& report : reports)
    if (is_its_business(s, report)) run.reports.push_back(std::move(report));
  run.differs = difference(s, rules, options, run);
  return run;
}

}  // namespace memhp
