#include "cli/stress_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "cli/option_values.h"
#include "stress/ring.h"
#include "stress/ring_driver.h"
#include "stress/tree.h"

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
    "(files kept open across removal), dimm, dax, cpu, slab, fault (vetoes), signal or "
    "mix;\n"
    "at most RATE calls a second each, MS milliseconds of thinking between them.\n"
    "Faults, P at most 1: veto (EPERM), enomem, slow-populate, slow-migrate; stop: "
    "the\n"
    "machine's process is stopped for TIME, with P four times a second. Without LIST: "
    "the\n"
    "vetoes of notifier error injection.\n"
    "--driver uring: one thread, up to --in-flight N calls at a time on one io_uring.\n"
    "Ctrl-C ends the run; once more, and calls that have not come back are findings.\n"
    "Exit status: 0 nothing found, 1 a finding (or the tree could not be used), 2 wrong\n"
    "options. A worker's sequence of calls depends on --seed and its place alone.";

template <class T>
bool take(T& into, std::expected<T, std::string> value, const char* option,
          std::string& error) {
  if (value)
    into = std::move(*value);
  else if (error.empty())
    error = fmt::format("{} {}", option, value.error());
  return value.has_value();
}

}  // namespace

stress_options::stress_options(CLI::App& app) : app_{app} {
  app_.footer(footer);
  add_run_options();
  add_result_options();
  const std::size_t own = app_.get_options().size();
  machine_.add_to(app_);
  const auto all = app_.get_options();
  machine_options_.assign(all.begin() + static_cast<std::ptrdiff_t>(own), all.end());
}

void stress_options::add_run_options() {
  app_.add_option("--workers", workers_, "what works")->type_name("KIND=COUNT,...");
  app_.add_option("--time", time_, "how long: 500ms, 60s, 10m")->type_name("TIME");
  app_.add_option("--calls", calls_, "each worker's calls, instead of a time")
      ->type_name("N");
  app_.add_option("--driver", driver_, "threads, or uring: all workers on one io_uring")
      ->type_name("KIND");
  app_.add_option("--in-flight", in_flight_, "of uring: calls under way at a time")
      ->type_name("N");
  app_.add_option("--open", open_,
                  "stores to state: each opens its file (uring), or it is kept (threads)")
      ->type_name("HOW");
  app_.add_option("--seed", seed_, "of the workers' sequences")->type_name("N");
  app_.add_option("--tree", tree, "a running machine's directory")->type_name("DIR");
  app_.add_option("--blocks", blocks_, "the blocks to work on: 40-47,50")
      ->type_name("LIST");
  app_.add_option("--node", node, "only this node's blocks")->type_name("N");
  app_.add_flag("--hot", hot, "only one block, the last");
  app_.add_flag("--i-know-this-is-the-real-kernel", real_kernel_,
                "work on a real sysfs; needs --blocks");
  app_.add_option("--stuck", stuck_,
                  "a call that takes longer is a finding [20s, and what "
                  "--faults may take]")
      ->type_name("TIME");
  app_.add_option("--max-findings", most_findings_,
                  "end after so many, or so many complaints of the kernel")
      ->type_name("N");
  faults_option_ = app_.add_option("--faults", faults_,
                                   "veto=P, enomem=P, slow-populate=TIME@P, "
                                   "slow-migrate=TIME@P, stop=TIME@P")
                       ->type_name("[LIST]")
                       ->expected(0, 1);
}

void stress_options::add_result_options() {
  app_.add_option("--record", plan.record_path, "keep every call")->type_name("FILE");
  app_.add_option("--replay", replay, "issue recorded calls again")->type_name("FILE");
  app_.add_option("--shrink", shrink,
                  "with --replay: write the shortest log found that still fails")
      ->type_name("FILE");
  app_.add_option("--json", json, "the figures as JSON; - is stdout")->type_name("FILE");
  app_.add_option("--junit", junit, "the findings as JUnit's XML")->type_name("FILE");
  app_.add_option("--plot", plot, "SVGs of throughput and latency")->type_name("DIR");
  app_.add_flag("--quiet", quiet, "no progress");
}

std::expected<void, std::string> stress_options::understand() {
  std::string error;
  take(plan.workers, stress::parse_workers(workers_), "--workers", error);
  take(plan.time, stress::parse_duration(time_), "--time", error);
  if (!stuck_.empty())
    take(run.stuck_after, stress::parse_duration(stuck_), "--stuck", error);
  take(plan.seed, parse_number(seed_, 0, UINT64_MAX), "--seed", error);
  ends_at_complaints = !most_findings_.empty();
  constexpr std::uint64_t highest_most = 1'000'000;
  if (ends_at_complaints)
    take(run.most_findings, parse_number(most_findings_, 1, highest_most),
         "--max-findings", error);
  take(only, parse_list(blocks_), "--blocks", error);
  constexpr std::uint64_t most_calls = 1'000'000'000'000;
  if (!calls_.empty())
    take(plan.operations, parse_number(calls_, 1, most_calls), "--calls", error);
  if (const auto setup = machine_.setup(); !setup && error.empty()) error = setup.error();
  if (error.empty()) error = understand_driver();
  if (error.empty()) error = understand_faults();
  if (error.empty()) error = conflict();
  if (!error.empty()) return std::unexpected{error};
  if (plan.operations != 0) plan.time = {};
  understand_circumstances();
  plan.command_line = command_line();
  return {};
}

// The error is one line, or none. Without a list: a worker that sets and clears the
// errors of notifier error injection, which real kernels have too.
std::string stress_options::understand_faults() {
  if (faults_option_->count() == 0) return "";
  if (faults_.empty()) {
    constexpr const char* vetoes = "fault=1@20";
    const auto more = stress::parse_workers(vetoes);
    plan.workers.insert(plan.workers.end(), more->begin(), more->end());
    return "";
  }
  auto faults = stress::parse_faults(faults_);
  if (!faults) return "--faults " + faults.error();
  // Stores wait for each other, so that the last may wait for the delays of all.
  std::chrono::milliseconds longest{0};
  for (const stress::fault& each : *faults) longest += each.time * (calls_at_once() + 1);
  if (stuck_.empty())
    run.stuck_after += longest;
  else if (longest > run.stuck_after)
    return fmt::format("--stuck {}: with these faults and workers a call may take {} s",
                       stuck_, std::chrono::ceil<std::chrono::seconds>(longest).count());
  plan.faults = std::move(*faults);
  return "";
}

unsigned stress_options::workers() const {
  unsigned all = 0;
  for (const stress::worker_group& group : plan.workers) all += group.count;
  return all;
}

unsigned stress_options::calls_at_once() const {
  return std::max(workers(), run.in_flight);
}

void stress_options::understand_circumstances() {
  const auto does = [&](stress::operation op) {
    return std::ranges::any_of(plan.workers, [op](const stress::worker_group& group) {
      return std::ranges::any_of(group.kind->choices,
                                 [op](const auto& each) { return each.op == op; });
    });
  };
  plan.now = stress::circumstances_of(does);
  stress::excuse(plan.now, plan.faults);
}

std::string stress_options::understand_driver() {
  if (driver_ != "threads" && driver_ != "uring")
    return fmt::format("--driver {}: write threads or uring", driver_);
  if (!open_.empty() && open_ != "kept" && open_ != "each")
    return fmt::format("--open {}: write kept or each", open_);
  if (!open_.empty())
    run.files = open_ == "kept" ? stress::state_files::kept : stress::state_files::each;
  const bool on_ring = driver_ == "uring";
  if (!in_flight_.empty()) {
    const auto calls = parse_number(in_flight_, 1, stress::most_in_flight);
    if (!calls) return "--in-flight " + calls.error();
    if (!on_ring) return "--in-flight is of --driver uring: each thread has one call";
    run.in_flight = static_cast<unsigned>(*calls);
    if (workers() > run.in_flight && replay.empty())
      return fmt::format("--in-flight {}: at least one for each worker, {}", in_flight_,
                         workers());
  }
  if (!on_ring) return "";
  run.driver = stress::driver_kind::uring;
  const std::string missing =
      stress::why_no_ring(calls_at_once(), std::size_t{workers()} * stress::kept_files);
  return missing.empty() ? "" : "--driver uring: " + missing + ": use --driver threads";
}

std::string stress_options::conflict() const {
  if (!tree.empty() && !machine_arguments().empty())
    return "--tree is a machine that runs: leave out the machine's options";
  if (!shrink.empty() && replay.empty()) return "--shrink needs --replay FILE";
  if (!shrink.empty() && !tree.empty())
    return "--shrink needs fresh machines: leave out --tree";
  if (!plot.empty() && access(plot.c_str(), W_OK) != 0)
    return fmt::format("--plot {0} is no directory: create it with mkdir -p {0}", plot);
  if (tree.empty() || !stress::is_real_sysfs(tree)) return "";
  if (!real_kernel_)
    return fmt::format(
        "{} is a real kernel's sysfs: a run takes its memory away; if that "
        "is wanted, add --i-know-this-is-the-real-kernel",
        tree);
  if (only.empty()) return "a real kernel needs --blocks: name those that it can spare";
  return "";
}

// The machine's options as they were given.
std::vector<std::string> stress_options::machine_arguments() const {
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

std::vector<std::string> stress_options::machine_to_start() const {
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

std::string stress_options::command_line() const {
  std::string line = "memhp stress";
  for (const CLI::Option* option : app_.get_options()) {
    if (option->count() == 0) continue;
    for (const std::string& value : option->results()) {
      line += " " + option->get_name();
      if (option->get_expected_max() == 0) break;
      line += " " + value;
    }
  }
  return line;
}

}  // namespace memhp
