// memhp scenario: the locking problems that the eras are about, run on purpose.

#include "emu/scenarios/scenario.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

#include "cli/command.h"
#include "cli/scenario_timeline.h"
#include "cli/unknown_names.h"

namespace memhp {
namespace {

constexpr const char* footer =
    "run lets one task run after the other, and the validator says what could have "
    "hung;\n"
    "with --forced the interleaving that hangs is made to happen.\n"
    "--era is before (the default), after, patched, or what memhp run takes.\n"
    "Exit status: 3 a report, a hang or a lost update, as the era has it; 0 quiet, as "
    "the\n"
    "era has it; 1 not what the era has: it says what differs; 2 wrong options.";

constexpr int exit_went_wrong = 3;  // as expected

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
    app().add_flag("--forced", options_.forced, "make the bad interleaving happen");
    app().add_flag("--validate-dev-mutex", options_.validate_dev_mutex,
                   "let the validator check dev->mutex, which kernels do not");
    app()
        .add_option("--timeline", timeline_,
                    "a Chrome trace of who held and waited for what")
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
    if (!fibers_work) return complain(exit_failure, no_fibers);
    options_.record = !timeline_.empty();
    const auto done = run_scenario(s, *rules, options_);
    if (!done) return complain(exit_failure, done.error());
    if (options_.record && !write_timeline(s, *done))
      return complain(exit_failure, fmt::format("cannot write {}", timeline_));
    print(*done, era_of(*rules).words);
    if (!done->differs.empty())
      return complain(exit_failure, fmt::format("{} with --era {} does not behave as its "
                                                "era says: {}",
                                                s.name, era_, done->differs));
    return done->went_wrong() ? exit_went_wrong : EXIT_SUCCESS;
  }

  bool write_timeline(const scenario& s, const scenario_run& done) const {
    std::ofstream file{timeline_};
    file << timeline_json(s, done);
    return file.flush().good();
  }

  static void print(const scenario_run& done, const report_format& words) {
    for (const lockdep_report& report : done.reports)
      fmt::print("{}\n", to_text(report, words));
    fmt::print("{}", hung_tasks_text(done.hung, words));
    if (!done.lost.empty()) fmt::print("{}\n", done.lost);
  }

  std::string action_;
  std::string name_;
  std::string era_ = "before";
  std::string timeline_;
  scenario_options options_;
};

}  // namespace

std::unique_ptr<command> make_scenario_command(CLI::App& memhp) {
  return std::make_unique<scenario_command>(memhp);
}

}  // namespace memhp
