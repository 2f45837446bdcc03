// memhp stress: workers that do everything at once to a tree, and what is wrong with its
// answers.

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "cli/command.h"
#include "cli/machine_options.h"
#include "cli/option_values.h"
#include "cli/own_machine.h"
#include "stress/invariants.h"
#include "stress/report.h"
#include "stress/run.h"
#include "stress/shrink.h"

namespace memhp {
namespace {

constexpr const char* footer =
    "Without --tree the run starts a machine of its own (the machine's options are "
    "those\n"
    "of memhp up; default: --nodes 2 --memory 512M --dimm 2G@0 --dimm 2G@1 --commit "
    "touch\n"
    "--lockdep on) and ends it.\n"
    "Workers: KIND=COUNT[@RATE][~MS],... KIND is probe, remove, online, online_kernel,\n"
    "online_movable, offline, switch (0 and 1 to online), garbage, read, list, scan, "
    "hold\n"
    "(files kept open across removal), dimm, dax, cpu, slab, fault\n"
    "(vetoes), signal or mix; at most "
    "RATE\n"
    "calls a second each, MS milliseconds of thinking between them.\n"
    "Exit status: 0 nothing found, 1 a finding (or the tree could not be used), 2 wrong\n"
    "options. A worker's sequence of calls depends on --seed and its place alone.";

volatile std::sig_atomic_t asked_to_end = 0;

void end_on_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { asked_to_end = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

class stress_command final : public command {
 public:
  explicit stress_command(CLI::App& memhp)
      : command{*memhp.add_subcommand("stress", "find what breaks a hotplug tree")} {
    app().footer(footer);
    add_run_options();
    add_result_options();
    const std::size_t own = app().get_options().size();
    machine_.add_to(app());
    const auto all = app().get_options();
    machine_options_.assign(all.begin() + static_cast<std::ptrdiff_t>(own), all.end());
  }

  int execute(std::vector<std::string> /*program*/) override {
    if (auto ok = understand(); !ok) return complain(exit_wrong_options, ok.error());
    end_on_signals();
    if (!replay_.empty()) return replay_log();
    std::optional<own_machine> machine;
    auto sys = find_tree(machine);
    if (!sys) return complain(status_, sys.error());
    auto figures = run_on(*sys, machine ? &*machine : nullptr, nullptr);
    if (!figures) return complain(exit_failure, figures.error());
    return report(*figures, machine);
  }

 private:
  using outcome = std::expected<void, std::string>;

  void add_run_options() {
    app().add_option("--workers", workers_, "what works")->type_name("KIND=COUNT,...");
    app().add_option("--time", time_, "how long: 500ms, 60s, 10m")->type_name("TIME");
    app()
        .add_option("--calls", calls_, "each worker's calls, instead of a time")
        ->type_name("N");
    app().add_option("--seed", seed_, "of the workers' sequences")->type_name("N");
    app().add_option("--tree", tree_, "a running machine's directory")->type_name("DIR");
    app()
        .add_option("--blocks", blocks_, "the blocks to work on: 40-47,50")
        ->type_name("LIST");
    app().add_option("--node", node_, "only this node's blocks")->type_name("N");
    app().add_flag("--hot", hot_, "only one block, the last");
    app().add_flag("--i-know-this-is-the-real-kernel", real_kernel_,
                   "work on a real sysfs; needs --blocks");
    app()
        .add_option("--stuck", stuck_, "a call that takes longer is a finding")
        ->type_name("TIME");
    app()
        .add_option("--max-findings", most_findings_,
                    "end after so many, or so many complaints of the kernel")
        ->type_name("N");
    app().add_flag("--faults", faults_, "memory notifiers veto now and then");
  }

  void add_result_options() {
    app().add_option("--record", plan_.record_path, "keep every call")->type_name("FILE");
    app()
        .add_option("--replay", replay_, "issue recorded calls again")
        ->type_name("FILE");
    app()
        .add_option("--shrink", shrink_,
                    "with --replay: write the shortest log found that still fails")
        ->type_name("FILE");
    app()
        .add_option("--json", json_, "the figures as JSON; - is stdout")
        ->type_name("FILE");
    app().add_option("--junit", junit_, "the findings as JUnit's XML")->type_name("FILE");
    app().add_option("--plot", plot_, "SVGs of throughput and latency")->type_name("DIR");
    app().add_flag("--quiet", quiet_, "no progress");
  }

  template <class T>
  static bool take(T& into, std::expected<T, std::string> value, const char* option,
                   std::string& error) {
    if (value)
      into = std::move(*value);
    else if (error.empty())
      error = fmt::format("{} {}", option, value.error());
    return value.has_value();
  }

  outcome understand() {
    std::string error;
    take(plan_.workers, stress::parse_workers(workers_), "--workers", error);
    take(plan_.time, stress::parse_duration(time_), "--time", error);
    take(options_.stuck_after, stress::parse_duration(stuck_), "--stuck", error);
    take(plan_.seed, parse_number(seed_, 0, UINT64_MAX), "--seed", error);
    constexpr std::uint64_t highest_most = 1'000'000;
    if (ends_at_complaints())
      take(options_.most_findings, parse_number(most_findings_, 1, highest_most),
           "--max-findings", error);
    take(only_, parse_list(blocks_), "--blocks", error);
    constexpr std::uint64_t most_calls = 1'000'000'000'000;
    if (!calls_.empty())
      take(plan_.operations, parse_number(calls_, 1, most_calls), "--calls", error);
    if (const auto setup = machine_.setup(); !setup && error.empty())
      error = setup.error();
    if (error.empty()) error = conflict();
    if (!error.empty()) return std::unexpected{error};
    if (plan_.operations != 0) plan_.time = {};
    if (faults_) {
      constexpr const char* vetoes = "fault=1@20";
      const auto more = stress::parse_workers(vetoes);
      plan_.workers.insert(plan_.workers.end(), more->begin(), more->end());
    }
    plan_.now.faults = std::ranges::any_of(
        plan_.workers, [](const auto& each) { return each.kind->name == "fault"; });
    plan_.now.signals = std::ranges::any_of(
        plan_.workers, [](const auto& each) { return each.kind->name == "signal"; });
    plan_.command_line = command_line();
    return {};
  }

  // Looking at the log all the time costs something: not unless it was asked for.
  bool ends_at_complaints() const { return !most_findings_.empty(); }

  std::string conflict() const {
    if (!tree_.empty() && !machine_arguments().empty())
      return "--tree is a machine that runs: leave out the machine's options";
    if (!shrink_.empty() && replay_.empty()) return "--shrink needs --replay FILE";
    if (!shrink_.empty() && !tree_.empty())
      return "--shrink needs fresh machines: leave out --tree";
    if (!plot_.empty() && access(plot_.c_str(), W_OK) != 0)
      return fmt::format("--plot {0} is no directory: create it with mkdir -p {0}",
                         plot_);
    if (tree_.empty() || !stress::is_real_sysfs(tree_)) return "";
    if (!real_kernel_)
      return fmt::format(
          "{} is a real kernel's sysfs: a run takes its memory away; if that "
          "is wanted, add --i-know-this-is-the-real-kernel",
          tree_);
    if (only_.empty())
      return "a real kernel needs --blocks: name those that it can spare";
    return "";
  }

  // The machine's options as they were given.
  std::vector<std::string> machine_arguments() const {
    std::vector<std::string> arguments;
    for (const CLI::Option* option : machine_options_) {
      if (option->count() == 0) continue;
      for (const std::string& value : option->results()) {
        arguments.push_back(option->get_name());
        if (option->get_expected_max() == 0) break;  // a flag
        arguments.push_back(value);
      }
    }
    return arguments;
  }

  std::vector<std::string> machine_to_start() const {
    const auto given = machine_arguments();
    std::vector<std::string> arguments = given;
    const auto add = [&](const char* option, std::initializer_list<const char*> values) {
      if (std::ranges::find(given, option) != given.end()) return;
      for (const char* value : values) {
        arguments.emplace_back(option);
        arguments.emplace_back(value);
      }
    };
    if (std::ranges::none_of(given, [](const std::string& each) {
          return each == "--nodes" || each == "--memory" || each == "--dimm" ||
                 each == "--block-size";
        })) {
      add("--nodes", {"2"});
      add("--memory", {"512M"});
      add("--dimm", {"2G@0", "2G@1"});
    }
    add("--commit", {"touch"});
    add("--lockdep", {"on"});
    return arguments;
  }

  std::string command_line() const {
    std::string line = "memhp stress";
    for (const CLI::Option* option : app().get_options()) {
      if (option->count() == 0) continue;
      for (const std::string& value : option->results()) {
        line += " " + option->get_name();
        if (option->get_expected_max() == 0) break;
        line += " " + value;
      }
    }
    return line;
  }

  std::expected<stress::tree, std::string> find_tree(
      std::optional<own_machine>& machine) {
    status_ = exit_failure;
    if (tree_.empty()) {
      auto started = own_machine::start(machine_to_start());
      if (!started) return std::unexpected{started.error()};
      machine.emplace(std::move(*started));
    }
    status_ = exit_wrong_options;
    auto sys = stress::open_tree(machine ? machine->mount() : tree_, only_);
    if (!sys || (node_.empty() && !hot_)) return sys;
    if (!node_.empty())
      std::erase_if(sys->blocks, [&](const stress::block_at_start& block) {
        return sys
            ->list(fmt::format("{}/node{}/memory{}", stress::node_dir, node_, block.id))
            .empty();
      });
    if (sys->blocks.empty())
      return std::unexpected{fmt::format("--node {} has no block to work on", node_)};
    if (hot_) sys->blocks.erase(sys->blocks.begin(), sys->blocks.end() - 1);
    return sys;
  }

  // A run, or a replay of `recorded`, with everything that is checked around it.
  std::expected<stress::run_figures, std::string> run_on(
      const stress::tree& sys, const own_machine* machine,
      const stress::recorded_run* recorded) {
    const bool count_locks = sys.read(lock_stat_switch) == "0\n";
    if (count_locks && recorded == nullptr) (void)sys.write(lock_stat_switch, "1");
    const stress::tree_snapshot start = stress::snapshot_of(sys);
    std::vector<stress::finding> complaints;
    stress::run_options options = options_;
    options.stop = [&] {
      return asked_to_end != 0 ||
             (ends_at_complaints() &&
              stress::complaints_since(sys, start).size() >= options_.most_findings);
    };
    if (machine != nullptr)
      options.break_tree = [&] {
        complaints = stress::complaints_since(sys, start);
        machine->kill();
      };
    if (!quiet_ && recorded == nullptr) show_progress(options);
    std::expected<stress::run_figures, std::string> figures =
        recorded != nullptr ? stress::replay(sys, *recorded, plan_.now, options)
                            : stress::run(sys, plan_, options);
    if (!quiet_ && isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\x1b[K");
    if (!figures) return figures;
    add_findings(*figures, std::move(complaints));
    if (figures->wedged) return figures;
    figures->locks = stress::parse_lock_stat(sys.read("proc/lock_stat"));
    if (count_locks) (void)sys.write(lock_stat_switch, "0");
    add_findings(*figures, stress::check_invariants(sys, start));
    add_findings(*figures, stress::bring_back(sys, start));
    return figures;
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
      fmt::print(stderr, "{}{}{}", terminal ? "\r\x1b[K" : "",
                 stress::progress_line(since, interval, elapsed), terminal ? "" : "\n");
      std::fflush(stderr);
    };
  }

  int replay_log() {
    auto recorded = stress::op_log::read(replay_);
    if (!recorded) return complain(exit_wrong_options, recorded.error());
    const auto has = [&](stress::operation op) {
      return std::ranges::any_of(recorded->calls,
                                 [op](const auto& each) { return each.op == op; });
    };
    plan_.now = {.signals = has(stress::operation::interrupt),
                 .faults = has(stress::operation::veto)};
    std::optional<own_machine> machine;
    auto sys = find_tree(machine);
    if (!sys) return complain(status_, sys.error());
    auto figures = run_on(*sys, machine ? &*machine : nullptr, &*recorded);
    if (!figures) return complain(exit_failure, figures.error());
    if (!shrink_.empty() && figures->finding_count != 0 && !figures->wedged)
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
    auto log = stress::op_log::create(shrink_, recorded.seed, recorded.command_line);
    if (!log) return std::unexpected{log.error()};
    if (!log->append(calls)) return std::unexpected{shrink_ + ": no room for the log"};
    fmt::print(stderr, "{} of {} calls are left\n", calls.size(), recorded.calls.size());
    return {};
  }

  int report(const stress::run_figures& figures, std::optional<own_machine>& machine) {
    const bool json_to_stdout = json_ == "-";
    fmt::print("{}", json_to_stdout ? stress::json_report(figures)
                                    : stress::text_report(figures));
    std::fflush(stdout);
    outcome written;
    if (!json_.empty() && !json_to_stdout)
      written = write_file(json_, stress::json_report(figures));
    if (written && !junit_.empty())
      written = write_file(junit_, stress::junit_report(figures));
    if (written && !plot_.empty()) written = stress::write_plots(figures, plot_);
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

  machine_options machine_;
  std::vector<const CLI::Option*> machine_options_;
  stress::plan plan_;
  stress::run_options options_;
  std::vector<std::uint64_t> only_;
  int status_ = exit_failure;
  std::string workers_ =
      "probe=1,remove=1,online=2,offline=2,online_movable=1,switch=1,read=2,hold=1";
  std::string time_ = "10s";
  std::string stuck_ = "20s";
  std::string most_findings_;
  std::string calls_;
  std::string seed_ = "1";
  std::string tree_;
  std::string blocks_;
  std::string node_;
  std::string replay_;
  std::string shrink_;
  std::string json_;
  std::string junit_;
  std::string plot_;
  bool hot_ = false;
  bool faults_ = false;
  bool quiet_ = false;
  bool real_kernel_ = false;
};

}  // namespace

std::unique_ptr<command> make_stress_command(CLI::App& memhp) {
  return std::make_unique<stress_command>(memhp);
}

}  // namespace memhp
