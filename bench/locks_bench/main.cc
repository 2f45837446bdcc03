// How fast are the locks beside others and beside what the hardware allows?
//
//   locks_bench                                  all questions, tables and targets
//   locks_bench --csv r.csv --json r.json        the same for programs; plot.py draws it
//   locks_bench --question "read pair"           one question
//   locks_bench --quick                          does it run at all? Its figures are
//   noise
//
// Every contender is a template argument of the same loops in this one program, and a
// round measures each once: ratios are taken within rounds. Google Benchmark, which the
// other benches use, neither pins threads nor pairs the runs of two locks.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <fstream>

#include "bench/locks_bench/all_locks.h"
#include "bench/locks_bench/questions.h"
#include "bench/locks_bench/report.h"
#include "bench/locks_bench/targets.h"

namespace {

using namespace memhp::bench;

struct options {
  unsigned rounds = 11;
  unsigned cell_ms = 40;
  bool quick = false;
  bool markdown = false;
  bool list = false;
  std::string question;
  std::string csv;
  std::string json;
  std::string sysfs = "/sys";
};

void describe_options(CLI::App& app, options& chosen) {
  app.add_option("--rounds", chosen.rounds, "how often each figure is taken")
      ->check(CLI::PositiveNumber);
  app.add_option("--cell-ms", chosen.cell_ms, "how long each time")
      ->check(CLI::PositiveNumber);
  app.add_flag("--quick", chosen.quick, "one short round: a smoke test");
  app.add_option("--question", chosen.question, "only this one");
  app.add_flag("--markdown", chosen.markdown, "tables for a README");
  app.add_option("--csv", chosen.csv, "also write this file");
  app.add_option("--json", chosen.json, "also write this file, with all samples");
  app.add_option("--sysfs", chosen.sysfs, "where the topology is read from");
  app.add_flag("--list", chosen.list, "names of the locks, and of the missing rivals");
}

struct question {
  const char* name;
  std::vector<cell> (*cells)(const conditions&);
};
constexpr std::array questions{question{read_pair_question, read_pair},
                               question{short_lived_question, short_lived},
                               question{write_pair_question, write_pair},
                               question{latency_question, writer_latency},
                               question{mix_question, mixes},
                               question{mix_apart_question, mixes_apart},
                               question{overlap_question, overlapping_readers}};

void list_locks() {
  for_each_lock([]<class L>() { fmt::print("{}\n", L::name); });
  fmt::print("missing: {}\n", MISSING_RIVALS);
}

conditions conditions_of(const options& chosen, const topology& machine) {
  using std::chrono::milliseconds;
  conditions when{.ways = placements(machine)};
  when.cell = milliseconds{chosen.quick ? 1 : chosen.cell_ms};
  when.overlapping = milliseconds{chosen.quick ? 2 : 25 * chosen.cell_ms};
  return when;
}

int write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return 0;
  std::ofstream out{path};
  out << text;
  out.close();
  if (out) return 0;
  fmt::print(stderr, "locks_bench: cannot write {}\n", path);
  return 1;
}

int measure_and_tell(options chosen) {
  if (chosen.quick) chosen.rounds = 1;
  const topology machine = detect_topology(chosen.sysfs);
  const conditions when = conditions_of(chosen, machine);
  if (when.cpus() < 2)
    fmt::print("One CPU: no figures of two threads at once, no mixes.\n");
  results all;
  for (const question& each : questions)
    if (chosen.question.empty() || chosen.question == each.name)
      run_interleaved(each.cells(when), chosen.rounds, all);
  const heading head{describe(machine), chosen.rounds, MISSING_RIVALS};
  auto judged = judge(all);
  if (!chosen.question.empty())  // the others were not asked for
    std::erase_if(judged, [](const target& each) { return !each.measured; });
  fmt::print("{}{}", as_tables(head, all, chosen.markdown),
             as_targets(judged, chosen.markdown));
  return write_file(chosen.csv, as_csv(head, all)) |
         write_file(chosen.json, as_json(head, all, judged));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"What the locks cost, beside their rivals and the limits."};
  options chosen;
  describe_options(app, chosen);
  CLI11_PARSE(app, argc, argv);
  // Deadlock detection is lockdep_bench's question; Debian's absl comes with it switched
  // on.
  memhp::lockdep::set_on(false);
#ifdef HAVE_ABSL
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  if (chosen.list) {
    list_locks();
    return 0;
  }
  try {
    return measure_and_tell(chosen);
  } catch (const std::exception& problem) {
    fmt::print(stderr, "locks_bench: {}\n", problem.what());
    return 1;
  }
}
