// What does the validator cost whoever writes `online` and `offline` to a block's state?
//
//   lockdep_tree_bench
//
// Two machines are mounted side by side, one with lockdep. Each iteration is a round of
// 200 times: offline on the one and on the other, online on the one and on the other, who
// comes first taking turns, so that all see the same host. The machines have no memory,
// so nothing dilutes the cost. A ratio is that of a round's medians, with lockdep over
// without; printed are the median of the rounds' ratios and their first and ninth decile.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "bench/served_machine.h"

namespace {

using namespace memhp;
using clock_type = std::chrono::steady_clock;

constexpr int rounds = 61;
constexpr int calls_a_round = 200;
constexpr std::uint64_t blocks = 16;
constexpr std::uint64_t block = 3;

double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

// echo TEXT > FILE. Aborts if it fails: a benchmark of errors is none.
double us_of_echo(const std::string& file, std::string_view text) {
  const auto start = clock_type::now();
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const bool written =
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  if (!written) {
    fmt::print(stderr, "{}: {} fails\n", file, text);
    std::abort();
  }
  return std::chrono::duration<double, std::micro>{clock_type::now() - start}.count();
}

// Whether the machine's validator has seen nestings of locks.
bool is_validated(const served_machine& machine) {
  std::ifstream file{machine.path("proc/lockdep_stats")};
  for (std::string word; file >> word;)
    if (word == "chains:") return (file >> word) && word != "0";
  return false;
}

constexpr std::array<std::string_view, 2> words = {"offline\n", "online\n"};

// By machine, without and with lockdep, and by word.
using times = std::array<std::array<std::vector<double>, 2>, 2>;

times one_round(const std::array<std::string, 2>& files) {
  times took;
  for (std::size_t i = 0; i < calls_a_round; ++i)
    for (std::size_t word = 0; word < words.size(); ++word)
      for (std::size_t turn = 0; turn < files.size(); ++turn) {
        const std::size_t which = (i + turn) % files.size();
        took[which][word].push_back(us_of_echo(files[which], words[word]));
      }
  return took;
}

void online_and_offline(benchmark::State& state) {
  const auto plain = served_machine::start(blocks);
  const auto validated = served_machine::start(blocks, true);
  for (const auto* each : {&plain, &validated})
    if (!*each) return state.SkipWithError(each->error().c_str());
  const std::array files{plain->block(block, "state"), validated->block(block, "state")};
  one_round(files);  // what is new to the validator
  if (is_validated(*plain) || !is_validated(*validated))
    return state.SkipWithError("not the one validated and the other not");

  std::array<std::array<std::vector<double>, 2>, 2> medians;
  std::array<std::vector<double>, 2> ratios;
  for ([[maybe_unused]] auto _ : state) {
    const auto start = clock_type::now();
    const times took = one_round(files);
    for (std::size_t word = 0; word < words.size(); ++word) {
      for (std::size_t which = 0; which < files.size(); ++which)
        medians[which][word].push_back(quantile(took[which][word], 0.5));
      ratios[word].push_back(medians[1][word].back() / medians[0][word].back());
    }
    state.SetIterationTime(
        std::chrono::duration<double>{clock_type::now() - start}.count());
  }
  for (std::size_t word = 0; word < words.size(); ++word) {
    const std::string name{words[word].substr(0, words[word].size() - 1)};
    state.counters[name + "_us"] = quantile(medians[0][word], 0.5);
    state.counters[name + "_lockdep_us"] = quantile(medians[1][word], 0.5);
    state.counters[name + "_ratio"] = quantile(ratios[word], 0.5);
    state.counters[name + "_ratio_p10"] = quantile(ratios[word], 0.1);
    state.counters[name + "_ratio_p90"] = quantile(ratios[word], 0.9);
  }
}

BENCHMARK(online_and_offline)
    ->UseManualTime()
    ->Iterations(rounds)
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
