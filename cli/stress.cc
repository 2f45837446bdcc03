// memhp stress: workers that do everything at once to a tree, and what is wrong with its
// answers.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "blocks/host_memory.h"
#include "cli/command.h"
#include "cli/own_machine.h"
#include "cli/stress_options.h"
#include "emu/stats_segment.h"
#include "stress/invariants.h"
#include "stress/machine_stopper.h"
#include "stress/report.h"
#include "stress/run.h"
#include "stress/shrink.h"

namespace memhp {
namespace {

volatile std::sig_atomic_t asked_to_end = 0;  // how often

constexpr std::array ending_signals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// Whatever ends the run, the tree is left in order: its faults off, its process running.
void end_on_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { asked_to_end = asked_to_end + 1; };
  for (const int signal : ending_signals) sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // `| head` is no reason to leave it otherwise
}

// While it lives, a signal that ends the run interrupts no call on the tree.
class signals_held_off {
 public:
  signals_held_off() {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : ending_signals) sigaddset(&held, signal);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  ~signals_held_off() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  signals_held_off(const signals_held_off&) = delete;
  signals_held_off& operator=(const signals_held_off&) = delete;

 private:
  sigset_t before_;
};

class stress_command final : public command {
 public:
  explicit stress_command(CLI::App& memhp)
      : command{*memhp.add_subcommand("stress", "find what breaks a hotplug tree")},
        options_{app()} {}

  int execute(std::vector<std::string> /*program*/) override {
    if (auto ok = options_.understand(); !ok)
      return complain(exit_wrong_options, ok.error());
    end_on_signals();
    if (!options_.replay.empty()) return replay_log();
    std::optional<own_machine> machine;
    auto sys = find_tree(machine);
    if (!sys) return complain(status_, sys.error());
    auto figures = run_on(*sys, machine ? &*machine : nullptr, nullptr);
    if (!figures) return complain(exit_failure, figures.error());
    return report(*figures, machine);
  }

 private:
  using outcome = std::expected<void, std::string>;

  std::expected<stress::tree, std::string> find_tree(
      std::optional<own_machine>& machine) {
    status_ = exit_failure;
    if (options_.tree.empty()) {
      auto started = own_machine::start(options_.machine_to_start());
      if (!started) return std::unexpected{started.error()};
      machine.emplace(std::move(*started));
    }
    status_ = exit_wrong_options;
    auto sys =
        stress::open_tree(machine ? machine->mount() : options_.tree, options_.only);
    if (!sys || (options_.node.empty() && !options_.hot)) return sys;
    if (!options_.node.empty())
      std::erase_if(sys->blocks, [&](const stress::block_at_start& block) {
        return sys
            ->list(fmt::format("{}/node{}/memory{}", stress::node_dir, options_.node,
                               block.id))
            .empty();
      });
    if (sys->blocks.empty())
      return std::unexpected{
          fmt::format("--node {} has no block to work on", options_.node)};
    if (options_.hot) sys->blocks.erase(sys->blocks.begin(), sys->blocks.end() - 1);
    return sys;
  }

  // A run, or a replay of `recorded`, with everything that is checked around it.
  std::expected<stress::run_figures, std::string> run_on(
      const stress::tree& sys, const own_machine* machine,
      const stress::recorded_run* recorded) {
    const stress::tree_snapshot start = stress::snapshot_of(sys);
    if (this_host().available_bytes(std::nullopt) / sys.block_size <
        sys.blocks.size() + sys.probed.size())
      options_.plan.now.no_memory = true;  // a host too small for all of the machine
    std::vector<stress::finding> complaints;
    std::optional<stress::machine_stopper> stopper;
    if (auto ok = start_faults(sys, stopper); !ok) {
      (void)stress::switch_off(sys, options_.plan.faults);
      return std::unexpected{ok.error()};
    }
    const bool count_locks = recorded == nullptr && sys.read(lock_stat_switch) == "0\n";
    if (count_locks) (void)sys.write(lock_stat_switch, "1");
    stress::run_options options = options_.run;
    options.stop = [&] {
      return asked_to_end != 0 ||
             (options_.ends_at_complaints &&
              stress::complaints_since(sys, start).size() >= options.most_findings);
    };
    options.give_up = [] { return asked_to_end > 1; };
    if (stopper) options.tick = [&] { stopper->maybe_stop(); };
    if (machine != nullptr)
      options.break_tree = [&] {
        complaints = stress::complaints_since(sys, start);
        machine->kill();
      };
    if (!options_.quiet && recorded == nullptr) show_progress(options);
    std::expected<stress::run_figures, std::string> figures =
        recorded != nullptr ? stress::replay(sys, *recorded, options_.plan.now, options)
                            : stress::run(sys, options_.plan, options);
    if (!options_.quiet && isatty(STDERR_FILENO) != 0) std::fputs("\r\x1b[K", stderr);
    const signals_held_off undisturbed;
    // Nothing here waits for a call that hangs; an own machine is dead if one did.
    auto happened = stress::switch_off(sys, options_.plan.faults);
    if (stopper) happened.emplace_back("stop", stopper->stops());
    stopper.reset();
    const std::string lock_stat = figures ? sys.read("proc/lock_stat") : "";
    if (count_locks) (void)sys.write(lock_stat_switch, "0");
    if (!figures) return figures;
    figures->faults = std::move(happened);
    figures->locks = stress::parse_lock_stat(lock_stat);
    add_findings(*figures, std::move(complaints));
    if (figures->wedged) return figures;
    add_findings(*figures, stress::check_invariants(sys, start));
    add_findings(*figures, stress::bring_back(sys, start));
    return figures;
  }

  outcome start_faults(const stress::tree& sys,
                       std::optional<stress::machine_stopper>& stopper) const {
    const auto& faults = options_.plan.faults;
    const auto stop =
        std::ranges::find(faults, stress::fault_kind::stop, &stress::fault::kind);
    if (stop == faults.end()) return stress::switch_on(sys, faults);
    std::error_code ignored;
    const auto view =
        stats_view::of_mount(std::filesystem::weakly_canonical(sys.path, ignored));
    if (!view || view->keeper() == 0)
      return std::unexpected{"--faults stop: no machine of memhp is mounted at " +
                             sys.path};
    stopper.emplace(static_cast<pid_t>(view->stats().pid), *stop, options_.plan.seed);
    return stress::switch_on(sys, faults);
  }

  static void add_findings(stress::run_figures& figures,
                           std::vector<stress::finding> more) {
    figures.finding_count += more.size();
    std::ranges::move(more, std::back_inserter(figures.findings));
  }

  // On a terminal one line that changes, else a line every ten seconds.
  static void show_progress(stress::run_options& options) {
    const bool terminal = isatty(STDERR_FILENO) != 0;
    options.progress = [terminal, before = 0.0, shown = 0.0](
                           const stress::timeline::sample& since,
                           double elapsed) mutable {
      constexpr double every_s = 10;
      const double interval = elapsed - std::exchange(before, elapsed);
      if (!terminal && elapsed - shown < every_s) return;
      shown = elapsed;
      const std::string line = stress::progress_line(since, interval, elapsed);
      std::fputs(((terminal ? "\r\x1b[K" : "") + line + (terminal ? "" : "\n")).c_str(),
                 stderr);
      std::fflush(stderr);
    };
  }

  int replay_log() {
    auto recorded = stress::op_log::read(options_.replay);
    if (!recorded) return complain(exit_wrong_options, recorded.error());
    const auto has = [&](stress::operation op) {
      return std::ranges::any_of(recorded->calls,
                                 [op](const auto& each) { return each.op == op; });
    };
    options_.plan.now = stress::circumstances_of(has);
    stress::excuse(options_.plan.now, options_.plan.faults);
    std::optional<own_machine> machine;
    auto sys = find_tree(machine);
    if (!sys) return complain(status_, sys.error());
    auto figures = run_on(*sys, machine ? &*machine : nullptr, &*recorded);
    if (!figures) return complain(exit_failure, figures.error());
    if (!options_.shrink.empty() && figures->finding_count != 0 && !figures->wedged)
      if (auto ok = shrink_log(*recorded); !ok) return complain(exit_failure, ok.error());
    return report(*figures, machine);
  }

  bool fails(const stress::recorded_run& recorded) {
    std::optional<own_machine> machine;
    auto sys = find_tree(machine);
    if (!sys) return false;
    const auto figures = run_on(*sys, &*machine, &recorded);
    return figures && figures->finding_count != 0;
  }

  outcome shrink_log(const stress::recorded_run& recorded) {
    constexpr std::size_t most_trials = 400;
    const auto calls = stress::shrink(
        recorded.calls,
        [&](const std::vector<stress::record>& some) {
          return asked_to_end == 0 && fails({.seed = recorded.seed,
                                             .command_line = recorded.command_line,
                                             .calls = some});
        },
        most_trials);
    auto log =
        stress::op_log::create(options_.shrink, recorded.seed, recorded.command_line);
    if (!log) return std::unexpected{log.error()};
    if (!log->append(calls))
      return std::unexpected{options_.shrink + ": no room for the log"};
    fmt::print(stderr, "{} of {} calls are left\n", calls.size(), recorded.calls.size());
    return {};
  }

  int report(const stress::run_figures& figures, std::optional<own_machine>& machine) {
    const bool json_to_stdout = options_.json == "-";
    std::fputs(
        (json_to_stdout ? stress::json_report(figures) : stress::text_report(figures))
            .c_str(),
        stdout);
    std::fflush(stdout);
    outcome written;
    if (!options_.json.empty() && !json_to_stdout)
      written = write_file(options_.json, stress::json_report(figures));
    if (written && !options_.junit.empty())
      written = write_file(options_.junit, stress::junit_report(figures));
    if (written && !options_.plot.empty())
      written = stress::write_plots(figures, options_.plot);
    int status = figures.finding_count == 0 ? EXIT_SUCCESS : exit_failure;
    if (!written) status = complain(exit_failure, written.error());
    if (!figures.wedged) return status;
    // Threads are left that wait for answers: nothing here may be destroyed under them.
    machine.reset();
    std::_Exit(status);
  }

  static outcome write_file(const std::string& path, const std::string& text) {
    std::ofstream file{path};
    file << text;
    file.close();
    if (!file) return std::unexpected{path + ": cannot be written"};
    return {};
  }

  static constexpr const char* lock_stat_switch = "proc/sys/kernel/lock_stat";

  stress_options options_;
  int status_ = exit_failure;
};

}  // namespace

std::unique_ptr<command> make_stress_command(CLI::App& memhp) {
  return std::make_unique<stress_command>(memhp);
}

}  // namespace memhp
