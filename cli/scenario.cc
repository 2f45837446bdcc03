// memhp scenario: the locking problems that the eras are about, run on purpose.

#include "emu/scenarios/scenario.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

#include "cli/child_run.h"
#include "cli/command.h"
#include "cli/option_values.h"
#include "cli/scenario_timeline.h"
#include "cli/unknown_names.h"
#include "emu/scenarios/run_on_threads.h"

namespace memhp {
namespace {

constexpr const char* footer =
    "run lets one task run after the other, and the validator says what could have "
    "hung;\n"
    "with --forced the interleaving that hangs is made to happen, with --threads on "
    "threads\nthat really hang.\n"
    "--era is before (the default), after, patched, or what memhp run takes.\n"
    "Exit status: 3 a report, a hang or a lost update, as the era has it; 0 quiet, as "
    "the\n"
    "era has it; 1 not what the era has: it says what differs; 2 wrong options.";

constexpr int exit_went_wrong = 3;  // as expected
constexpr std::uint64_t longest_timeout_s = 1'000'000;

std::string seed_text(const scenario& s) {
  return s.seed < 0 ? "-" : fmt::format("00{}", s.seed);
}

// A row a step, a column a task.
void print_steps(const scenario& s) {
  constexpr std::size_t least = 24;
  std::vector<std::size_t> widths;
  for (const scenario_task& task : s.tasks) {
    std::size_t width = std::max(least, task.name.size());
    for (const scenario_step& step : s.steps)
      if (step.task == task.name) width = std::max(width, step.what.size());
    widths.push_back(width);
  }
  std::string head = "   ";
  std::string ruler = "   ";
  for (std::size_t i = 0; i < widths.size(); ++i) {
    head += fmt::format("  {:<{}}", s.tasks[i].name, widths[i]);
    ruler += "  " + std::string(widths[i], '-');
  }
  head.erase(head.find_last_not_of(' ') + 1);
  fmt::print("{}\n{}\n", head, ruler);
  for (std::size_t row = 0; row < s.steps.size(); ++row) {
    std::string line = fmt::format("{:>3}", row + 1);
    for (std::size_t i = 0; i < widths.size(); ++i)
      line += fmt::format("  {:<{}}",
                          s.steps[row].task == s.tasks[i].name ? s.steps[row].what : "",
                          widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

class scenario_command final : public command {
 public:
  explicit scenario_command(CLI::App& memhp)
      : command{
            *memhp.add_subcommand("scenario", "run a known locking problem on purpose")} {
    app().footer(footer);
    app().add_option("action", action_, "list, show or run")->type_name("");
    app().add_option("name", name_, "which scenario")->type_name("");
    app()
        .add_option("--era", era_, "whose locking the kernel has [before]")
        ->type_name("ERA");
    CLI::Option* const forced =
        app().add_flag("--forced", options_.forced, "make the bad interleaving happen");
    CLI::Option* const threads =
        app()
            .add_flag("--threads", threads_,
                      "on threads of the system, in a child that ends with the run")
            ->needs(forced);
    app()
        .add_option("--hung-task-timeout", hung_task_timeout_,
                    "with --threads, seconds until tasks that wait for each other are "
                    "reported and ended [1]; 0: never, Ctrl-C ends them")
        ->needs(threads)
        ->type_name("SECONDS");
    app().add_flag("--validate-dev-mutex", options_.validate_dev_mutex,
                   "let the validator check dev->mutex, which kernels do not");
    app()
        .add_option("--timeline", timeline_,
                    "a Chrome trace of who held and waited for what")
        ->excludes(threads)
        ->type_name("FILE");
  }

  std::string usage() const override { return "list | show NAME | run NAME [OPTIONS]"; }

  int execute(std::vector<std::string> /*program*/) override {
    if (action_ == "list") return list();
    if (action_ != "show" && action_ != "run")
      return complain(exit_wrong_options,
                      action_.empty() ? "write list, show NAME or run NAME"
                                      : fmt::format("'{}': write list, show NAME or run "
                                                    "NAME",
                                                    action_));
    const scenario* const s = find_scenario(name_);
    if (s == nullptr) return complain(exit_wrong_options, unknown_scenario(name_));
    return action_ == "show" ? show(*s) : run(*s);
  }

 private:
  static int list() {
    fmt::print("{:<28} {:<5} {}\n", "SCENARIO", "SEED", "STORY");
    for (const scenario* s : all_scenarios()) {
      fmt::print("{:<28} {:<5} {}\n", s->name, seed_text(*s), s->story[0]);
      for (std::size_t i = 1; i < s->story.size(); ++i)
        fmt::print("{:<34} {}\n", "", s->story[i]);
    }
    return EXIT_SUCCESS;
  }

  static int show(const scenario& s) {
    fmt::print("{}{}\n\n", s.name, s.seed < 0 ? "" : fmt::format(" (seed 00{})", s.seed));
    for (const std::string_view line : s.story) fmt::print("{}\n", line);
    fmt::print("\n");
    for (const auto& [when, rules] :
         {std::pair{"before", &s.before}, std::pair{"after", &s.after}})
      fmt::print("{:<7} {} ({}): {}\n", fmt::format("{}:", when), rules->era,
                 era_of(*rules).kernels, rules->what);
    fmt::print("\n");
    print_steps(s);
    return EXIT_SUCCESS;
  }

  int run(const scenario& s) {
    const lock_rules* const rules = scenario_rules(s, era_);
    if (rules == nullptr) return complain(exit_wrong_options, unknown_era(era_, true));
    if (threads_) return run_on_threads(s, *rules);
    if (!fibers_work)
      return complain(exit_failure,
                      fmt::format("{}: write --forced --threads", no_fibers));
    options_.record = !timeline_.empty();
    const auto done = run_scenario(s, *rules, options_);
    if (!done) return complain(exit_failure, done.error());
    if (options_.record && !write_timeline(s, *done))
      return complain(exit_failure, fmt::format("cannot write {}", timeline_));
    const report_format& words = era_of(*rules).words;
    print(*done, hung_tasks_text(done->hung, words), words);
    return judge(s, *done);
  }

  // All of it in a child: nothing else gets rid of threads that hang.
  int run_on_threads(const scenario& s, const lock_rules& rules) {
    const auto parsed = parse_number(hung_task_timeout_, 0, longest_timeout_s);
    if (!parsed)
      return complain(exit_wrong_options,
                      fmt::format("--hung-task-timeout '{}': {}", hung_task_timeout_,
                                  parsed.error()));
    const auto timeout_s = static_cast<unsigned>(*parsed);
    const auto status = run_in_child([&] {
      const auto done = run_scenario_on_threads(
          s, rules,
          {.validate_dev_mutex = options_.validate_dev_mutex,
           .hung_task_timeout_s = timeout_s,
           .on_stuck = [&](std::size_t tasks) { tell_of_hang(tasks, timeout_s); }});
      if (!done) return complain(exit_failure, done.error());
      print(*done, done->hung_text, era_of(rules).words);
      return judge(s, *done);
    });
    return status ? *status : complain(exit_failure, status.error());
  }

  // Whoever has to wait for longer wants to know for what.
  static void tell_of_hang(std::size_t tasks, unsigned timeout_s) {
    if (timeout_s == 1) return;
    fmt::print(stderr, "memhp scenario: {} tasks wait for each other; {}\n", tasks,
               timeout_s == 0 ? "Ctrl-C ends them"
                              : fmt::format("reported in {} seconds", timeout_s));
  }

  int judge(const scenario& s, const scenario_run& done) const {
    if (!done.differs.empty())
      return complain(exit_failure, fmt::format("{} with --era {} does not behave as its "
                                                "era says: {}",
                                                s.name, era_, done.differs));
    return done.went_wrong() ? exit_went_wrong : EXIT_SUCCESS;
  }

  bool write_timeline(const scenario& s, const scenario_run& done) const {
    std::ofstream file{timeline_};
    file << timeline_json(s, done);
    return file.flush().good();
  }

  static void print(const scenario_run& done, const std::string& hung_text,
                    const report_format& words) {
    for (const lockdep_report& report : done.reports)
      fmt::print("{}\n", to_text(report, words));
    fmt::print("{}", hung_text);
    if (!done.lost.empty()) fmt::print("{}\n", done.lost);
  }

  std::string action_;
  std::string name_;
  std::string era_ = "before";
  std::string timeline_;
  std::string hung_task_timeout_ = "1";
  bool threads_ = false;
  scenario_options options_;
};

}  // namespace

std::unique_ptr<command> make_scenario_command(CLI::App& memhp) {
  return std::make_unique<scenario_command>(memhp);
}

}  // namespace memhp
