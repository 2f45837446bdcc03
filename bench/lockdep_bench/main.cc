// What does it cost to have lock orders validated, here and elsewhere?
//
//   lockdep_bench                    the table and the targets
//   lockdep_bench --quick            does it run at all?
//
// Nests of one and of four locks in the steady state, on one thread and on two, without
// contention. The others that look for deadlocks in user space stand in the same table:
// absl::Mutex, if its library has the detector (Debian's has, since it is built without
// NDEBUG), and std::mutex under ThreadSanitizer, with and without its detector.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "bench/lockdep_bench/nest.h"
#include "bench/locks_bench/report.h"
#include "bench/locks_bench/results.h"
#include "bench/locks_bench/topology.h"
#include "locks/lockdep.h"
#include "locks/tracked.h"

#ifdef HAVE_ABSL
#include <absl/synchronization/mutex.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace {

using namespace memhp;
using namespace memhp::bench;

constexpr auto question = "lock and unlock";

// The classes of the four levels, which all threads share.
constexpr std::array<lock_class_key, deepest> classes{
    {{"level_0"}, {"level_1"}, {"level_2"}, {"level_3"}}};

template <class Lock>
struct tracked {
  void take(unsigned level) { locks[level].lock(); }
  void give(unsigned level) { locks[level].unlock(); }
  std::array<Lock, deepest> locks{Lock{classes[0]}, Lock{classes[1]}, Lock{classes[2]},
                                  Lock{classes[3]}};
};

struct tracked_readers : tracked<tracked_percpu_rw_semaphore> {
  void take(unsigned level) { locks[level].lock_shared(); }
  void give(unsigned level) { locks[level].unlock_shared(); }
};

// Only what the validator does.
struct maps_alone {
  void take(unsigned level) { lockdep::acquire(maps[level], {}); }
  void give(unsigned level) { lockdep::release(maps[level]); }
  std::array<dep_map, deepest> maps{dep_map{classes[0]}, dep_map{classes[1]},
                                    dep_map{classes[2]}, dep_map{classes[3]}};
};

template <class Lock>
struct plain {
  void take(unsigned level) { locks[level].lock(); }
  void give(unsigned level) { locks[level].unlock(); }
  std::array<Lock, deepest> locks;
};

struct switches {
  bool validator = false;
  bool statistics = false;
};

class cell_maker {
 public:
  cell_maker(std::vector<unsigned> cpus, std::chrono::milliseconds how_long)
      : cpus_{std::move(cpus)}, how_long_{how_long} {}

  template <class Locks>
  void add(const char* name, switches set = {}) {
    add_measured(name, [this, set](unsigned depth, unsigned threads) {
      lockdep::set_on(set.validator);
      lockdep::set_lock_stat(set.statistics);
      const double ns = nests_of<Locks>(depth, threads);
      lockdep::set_lock_stat(false);
      lockdep::set_on(false);
      return ns;
    });
  }

  // measure(depth, threads) gives ns.
  template <class Measure>
  void add_measured(const char* name, Measure measure) {
    for (const unsigned threads : {1U, 2U}) {
      if (threads > cpus_.size()) continue;
      for (const unsigned depth : {1U, deepest})
        cells.push_back(
            {.question = question,
             .lock = name,
             .placement = "all",
             .threads = threads,
             .columns = {{fmt::format("depth {}, {} thread{}", depth, threads,
                                      threads == 1 ? "" : "s"),
                          "ns"}},
             .run = [=] { return std::vector<double>{measure(depth, threads)}; }});
    }
  }

  template <class Locks>
  double nests_of(unsigned depth, unsigned threads) const {
    return ns_per_pair<Locks>(cpus_, threads, depth, how_long_);
  }

  std::vector<cell> cells;

 private:
  const std::vector<unsigned> cpus_;
  const std::chrono::milliseconds how_long_;
};

void add_ours(cell_maker& to) {
  to.add<maps_alone>("acquire and release, validator off");
  to.add<maps_alone>("acquire and release, validator on", {.validator = true});
  to.add<plain<memhp::mutex>>("memhp::mutex");
  to.add<tracked<tracked_mutex>>("tracked_mutex, validator off");
  to.add<tracked<tracked_mutex>>("tracked_mutex, validator on", {.validator = true});
  to.add<tracked<tracked_mutex>>("tracked_mutex, lock_stat on", {.statistics = true});
  to.add<tracked<tracked_mutex>>("tracked_mutex, both on",
                                 {.validator = true, .statistics = true});
  to.add<tracked_readers>("tracked_percpu_rw_semaphore read, off");
  to.add<tracked_readers>("tracked_percpu_rw_semaphore read, validator on",
                          {.validator = true});
  to.add<plain<std::mutex>>("std::mutex");
}

#ifdef HAVE_ABSL
struct absl_mutexes {
  void take(unsigned level) { locks[level].Lock(); }
  void give(unsigned level) { locks[level].Unlock(); }
  std::array<absl::Mutex, deepest> locks;
};

struct detecting_absl_mutexes : absl_mutexes {
  detecting_absl_mutexes() {
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kReport);
  }
};

// A child inverts two locks; where the detector is built in, that ends it.
bool absl_detects() {
  const pid_t child = fork();
  if (child == 0) {
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(0);
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kAbort);
    absl::Mutex first;
    absl::Mutex second;
    const auto nest = [](absl::Mutex& outer, absl::Mutex& inner) {
      outer.Lock();
      inner.Lock();
      inner.Unlock();
      outer.Unlock();
    };
    nest(first, second);
    nest(second, first);
    _exit(0);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status);
}

void add_absl(cell_maker& to, std::string& left_out) {
  to.add_measured("absl::Mutex, detector off", [&to](unsigned depth, unsigned threads) {
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    return to.nests_of<absl_mutexes>(depth, threads);
  });
  if (absl_detects()) {
    to.add<detecting_absl_mutexes>("absl::Mutex, detector on");
    return;
  }
  left_out += "absl::Mutex's detector (this libabsl was built with NDEBUG); ";
}
#else
void add_absl(cell_maker&, std::string& left_out) {
  left_out += "absl::Mutex (not installed at build time); ";
}
#endif

// Runs the program beside this one; ns, or an exception if it does not run.
double under_tsan(bool detector, unsigned depth, unsigned threads,
                  std::chrono::milliseconds how_long) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe")
                           .replace_filename("lockdep_bench_tsan");
  const std::string command =
      fmt::format("TSAN_OPTIONS=detect_deadlocks={} '{}' {} {} {}", detector ? 1 : 0,
                  program.string(), depth, threads, how_long.count());
  FILE* const pipe = popen(command.c_str(), "r");
  double ns = 0;
  const bool read = pipe != nullptr && std::fscanf(pipe, "%lf", &ns) == 1;
  if (pipe != nullptr && pclose(pipe) == 0 && read) return ns;
  throw std::runtime_error{"cannot run " + program.string()};
}

void add_tsan([[maybe_unused]] cell_maker& to,
              [[maybe_unused]] std::chrono::milliseconds how_long,
              [[maybe_unused]] std::string& left_out) {
#ifdef HAVE_TSAN
  for (const bool detector : {false, true})
    to.add_measured(detector ? "std::mutex under TSan, detector on"
                             : "std::mutex under TSan, detector off",
                    [=](unsigned depth, unsigned threads) {
                      return under_tsan(detector, depth, threads, how_long);
                    });
#else
  left_out += "TSan's detector (this compiler does not link -fsanitize=thread); ";
#endif
}

std::vector<target> judge_validator(const results& of) {
  const auto at = [&](const char* column) {
    return of.find(question, "acquire and release, validator on", column);
  };
  const auto ns = [&](const row* found) {
    return found == nullptr ? std::nullopt : std::optional{found->median()};
  };
  const auto rate = results::ratio(at("depth 4, 1 thread"), at("depth 4, 2 threads"));
  return {{"acquire and release at depth 1", ns(at("depth 1, 1 thread")), 10, true, "ns"},
          {"each of 4 at depth 4", ns(at("depth 4, 1 thread")), 7, true, "ns"},
          {"throughput of 2 threads over 1, depth 4",
           rate ? std::optional{2 * *rate} : std::nullopt, 1.85, false, "x"}};
}

struct options {
  unsigned rounds = 11;
  unsigned cell_ms = 40;
  bool quick = false;
  bool markdown = false;
  std::string csv;
  std::string json;
};

int write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return 0;
  std::ofstream out{path};
  out << text;
  out.close();
  return out ? 0 : 1;
}

int measure_and_tell(const options& chosen) {
  const std::chrono::milliseconds how_long{chosen.quick ? 1 : chosen.cell_ms};
  const unsigned rounds = chosen.quick ? 1 : chosen.rounds;
  const topology machine = detect_topology("/sys");
  cell_maker maker{placements(machine).front().cpus, how_long};
  std::string left_out;
  add_ours(maker);
  add_absl(maker, left_out);
  add_tsan(maker, how_long, left_out);
  results all;
  run_interleaved(maker.cells, rounds, all);
  const heading head{describe(machine), rounds, left_out};
  const auto judged = judge_validator(all);
  fmt::print("{}{}", as_tables(head, all, chosen.markdown),
             as_targets(judged, chosen.markdown));
  return write_file(chosen.csv, as_csv(head, all)) |
         write_file(chosen.json, as_json(head, all, judged));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"What the lock validator costs, beside others."};
  options chosen;
  app.add_option("--rounds", chosen.rounds, "how often each figure is taken")
      ->check(CLI::PositiveNumber);
  app.add_option("--cell-ms", chosen.cell_ms, "how long each time")
      ->check(CLI::PositiveNumber);
  app.add_flag("--quick", chosen.quick, "one short round: a smoke test");
  app.add_flag("--markdown", chosen.markdown, "tables for a README");
  app.add_option("--csv", chosen.csv, "also write this file");
  app.add_option("--json", chosen.json, "also write this file, with all samples");
  CLI11_PARSE(app, argc, argv);
  try {
    return measure_and_tell(chosen);
  } catch (const std::exception& problem) {
    fmt::print(stderr, "lockdep_bench: {}\n", problem.what());
    return 1;
  }
}
