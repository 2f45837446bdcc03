// memhp lockgraph: the lock classes of an era's kernel and the orders between them, as
// the validator saw them in a run.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <expected>
#include <fstream>
#include <string>

#include "cli/command.h"
#include "cli/graphviz.h"
#include "cli/lock_orders_text.h"
#include "cli/unknown_names.h"
#include "emu/eras.h"
#include "emu/scenarios/scenario.h"
#include "emu/scenarios/tour.h"

namespace memhp {
namespace {

constexpr const char* footer =
    "What is drawn was seen: a machine of that era is booted in this process, and what "
    "can\n"
    "be done to it is done, one thing after the other, under the validator: CPUs, slab\n"
    "caches and memory blocks come and go in every way there is, on every platform. "
    "With\n"
    "--scenario it is what the tasks of a scenario do.\n"
    "A line is an order: somebody held a lock of one class and wanted one of another. "
    "TAKEN\n"
    "is how: w>r held to write, wanted to read. A ! marks orders that can deadlock, "
    "which "
    "are\n"
    "red in drawings; a drawing's tooltips say where an order was seen first.";

class lockgraph_command final : public command {
 public:
  explicit lockgraph_command(CLI::App& memhp)
      : command{*memhp.add_subcommand("lockgraph",
                                      "draw the orders of locks that an era has")} {
    app().footer(footer);
    app()
        .add_option("--era", era_,
                    "whose locking the kernel has [patched; of a scenario: before]")
        ->type_name("ERA");
    app()
        .add_option("--scenario", scenario_,
                    "what a scenario does, not all that can be done")
        ->type_name("NAME");
    app().add_flag("--validate-dev-mutex", validate_dev_mutex_,
                   "let the validator check dev->mutex, which kernels do not");
    auto* const dot = app().add_flag("--dot", dot_, "a graph for Graphviz, not a list");
    app().add_flag("--svg", svg_, "a picture, drawn by Graphviz's dot")->excludes(dot);
    app()
        .add_option("-o,--output", output_, "write to a file, not to standard output")
        ->type_name("FILE");
  }

  int execute(std::vector<std::string> /*program*/) override {
    const scenario* const s = scenario_.empty() ? nullptr : find_scenario(scenario_);
    if (!scenario_.empty() && s == nullptr)
      return complain(exit_wrong_options, "--scenario " + unknown_scenario(scenario_));
    const lock_rules* const rules = rules_for(s);
    if (rules == nullptr)
      return complain(exit_wrong_options, unknown_era(era_, s != nullptr));
    const auto seen = s != nullptr ? seen_in(*s, *rules) : seen_on_tour(*rules);
    if (!seen) return complain(exit_failure, seen.error());
    const auto text = written(*seen, *rules);
    if (!text) return complain(exit_failure, text.error());
    return put(*text);
  }

 private:
  using seen_or_why = std::expected<lock_orders, std::string>;

  const lock_rules* rules_for(const scenario* s) const {
    if (s == nullptr) return era_.empty() ? &patched : find_era(era_);
    return scenario_rules(*s, era_.empty() ? "before" : era_);
  }

  seen_or_why seen_on_tour(const lock_rules& rules) const {
    auto found = tour_machines(rules, validate_dev_mutex_);
    if (!found) return std::unexpected{found.error()};
    return std::move(found->learned);
  }

  seen_or_why seen_in(const scenario& s, const lock_rules& rules) const {
    if (!fibers_work) return std::unexpected{no_fibers};
    auto run = run_scenario(s, rules,
                            {.validate_dev_mutex = validate_dev_mutex_, .learn = true});
    if (!run) return std::unexpected{run.error()};
    return std::move(run->learned);
  }

  std::expected<std::string, std::string> written(const lock_orders& seen,
                                                  const lock_rules& rules) const {
    const kernel_era& era = era_of(rules);
    if (!dot_ && !svg_) return lock_orders_text(seen, era.words);
    const auto cycles = std::ranges::count_if(seen.orders, &lock_order::on_cycle);
    const std::string title = fmt::format(
        "Locks of {} ({}){}: {} orders, {} of them on cycles", rules.era, era.kernels,
        scenario_.empty() ? "" : " in " + scenario_, seen.orders.size(), cycles);
    const std::string graph = lock_orders_dot(seen, era.words, title);
    return svg_ ? draw_svg(graph) : graph;
  }

  int put(const std::string& text) const {
    if (output_.empty()) {
      const bool written = std::fputs(text.c_str(), stdout) >= 0;
      return written && std::fflush(stdout) == 0
                 ? EXIT_SUCCESS
                 : complain(exit_failure, "cannot write to standard output");
    }
    std::ofstream file{output_};
    file << text;
    return file.flush().good()
               ? EXIT_SUCCESS
               : complain(exit_failure, fmt::format("cannot write {}", output_));
  }

  std::string era_;
  std::string scenario_;
  std::string output_;
  bool validate_dev_mutex_ = false;
  bool dot_ = false;
  bool svg_ = false;
};

}  // namespace

std::unique_ptr<command> make_lockgraph_command(CLI::App& memhp) {
  return std::make_unique<lockgraph_command>(memhp);
}

}  // namespace memhp
