#include "emu/scenarios/run_on_threads.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "emu/kernel.h"
#include "emu/scenarios/staged_threads.h"
#include "emu/scenarios/verdict.h"
#include "locks/blocked_tasks.h"
#include "locks/guards.h"

namespace memhp {
namespace {

using clock_type = std::chrono::steady_clock;

constexpr std::chrono::milliseconds poll{2};

// Everything that a thread which hangs still refers to.
class threads_stage {
 public:
  threads_stage(const scenario& s, threads_options options)
      : s_{s}, options_{std::move(options)}, tasks_{s.forced} {
    blocked_tasks::set_watched(true, std::chrono::nanoseconds{0});
    lockdep::set_on(false);
    lockdep::reset();
    lockdep::set_on(true);
    lockdep::set_on_error(lockdep::on_error::go_on);
    former_ = lockdep::set_reporter([this](const lockdep_report& report) {
      guard hold{lock_};
      reports_.push_back(report);
    });
  }
  // Once all tasks have ended.
  ~threads_stage() {
    lockdep::set_on(false);
    machine_.reset();
    lockdep::set_reporter(std::move(former_));
    lockdep::set_on_error(lockdep::on_error::abort);
    lockdep::reset();
    blocked_tasks::set_watched(false);
  }
  threads_stage(const threads_stage&) = delete;
  threads_stage& operator=(const threads_stage&) = delete;

  // Empty, or why not.
  std::string boot(machine_config config) {
    machine_environment environment;
    environment.run_work = [this](std::function<void()> work) {
      tasks_.add("kworker/1:1", std::move(work));
    };
    environment.printk = [this](const std::string& line) {
      if (detecting_) detected_ += line + '\n';
    };
    auto booted = machine::boot(std::move(config), std::move(environment));
    if (!booted) return booted.error();
    machine_ = std::move(*booted);
    s_.setup(*machine_);
    return {};
  }

  // Whether all tasks came to their end.
  bool run() {
    lockdep::set_listener(&tasks_);
    for (const scenario_task& task : s_.tasks)
      tasks_.add(std::string{task.name}, [this, &task] { task.run(*machine_); });
    const bool finished = wait_for_end();
    if (finished) lockdep::set_listener(nullptr);
    return finished;
  }

  std::string what_is_lost() {
    return s_.what_is_lost != nullptr ? s_.what_is_lost(*machine_) : std::string{};
  }

  void describe_hung(threads_run& run) {
    const std::vector<lockdep::task_locks> locks = lockdep::all_held_locks();
    for (const std::uint64_t wait : blocked_tasks::waits()) {
      const auto blocked = blocked_tasks::find(wait);
      if (!blocked) continue;
      hung_task hung{.task = blocked->task,
                     .seconds = options_.hung_task_timeout_s,
                     .stack = blocked->where,
                     .held = {},
                     .waits_for = {}};
      for (const lockdep::task_locks& each : locks)
        if (each.task.pid == hung.task.pid) hung.held = each.held;
      run.hung.push_back(std::move(hung));
    }
    run.hung_text = detected_;
  }

  std::vector<lockdep_report> reports() {
    guard hold{lock_};
    return reports_;
  }

 private:
  // False once the detector has reported all that hang.
  bool wait_for_end() {
    std::vector<std::uint64_t> stuck;
    clock_type::time_point since;
    for (;; tasks_.wait_for_news(poll)) {
      tasks_.advance();
      if (tasks_.all_ended()) return true;
      std::vector<std::uint64_t> now_stuck = tasks_.stuck();
      const auto now = clock_type::now();
      if (now_stuck.empty() || now_stuck != stuck) {
        stuck = std::move(now_stuck);
        since = now;
        if (!stuck.empty()) begin_of_hang(now, stuck.size());
      } else if (is_over_time(now - since)) {
        detecting_ = true;
        detector().check(now.time_since_epoch());
        detecting_ = false;
        return false;
      }
    }
  }

  hung_task_detector& detector() { return machine_->kernel().hung_tasks; }

  // The detector counts from here: before, somebody could have gone on.
  void begin_of_hang(clock_type::time_point now, std::size_t tasks) {
    detector().timeout_secs = options_.hung_task_timeout_s;
    detector().check(now.time_since_epoch());
    if (!std::exchange(said_, true) && options_.on_stuck) options_.on_stuck(tasks);
  }

  bool is_over_time(clock_type::duration asleep) const {
    return options_.hung_task_timeout_s != 0 &&
           asleep >= std::chrono::seconds{options_.hung_task_timeout_s};
  }

  const scenario& s_;
  const threads_options options_;
  staged_threads tasks_;
  lockdep::reporter former_;
  bool said_ = false;
  std::atomic<bool> detecting_ = false;  // nobody else prints then: all sleep
  std::string detected_;
  unwatched_mutex lock_;
  std::vector<lockdep_report> reports_ GUARDED_BY(lock_);
  std::unique_ptr<machine> machine_;
};

}  // namespace

std::expected<threads_run, std::string> run_scenario_on_threads(
    const scenario& s, const lock_rules& rules, const threads_options& options) {
  const scenario_options forced{.forced = true,
                                .validate_dev_mutex = options.validate_dev_mutex};
  auto staged = std::make_unique<threads_stage>(s, options);
  const std::string error = staged->boot(config_for(s, rules, forced));
  if (!error.empty()) return std::unexpected{error};
  threads_run run;
  run.finished = staged->run();
  for (lockdep_report& report : staged->reports())
    if (is_its_business(s, report)) run.reports.push_back(std::move(report));
  if (run.finished) {
    run.lost = staged->what_is_lost();
  } else {
    staged->describe_hung(run);
    // Its threads sleep in there for as long as the process lives.
    [[maybe_unused]] static threads_stage* kept = nullptr;
    kept = staged.release();
  }
  run.differs = difference(s, rules, forced, run);
  return run;
}

}  // namespace memhp
