#include "bench/locks_bench/results.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "bench/locks_bench/measure.h"

namespace memhp::bench {

double row::median() const {
  return bench::median(samples);
}

double row::low() const {
  return percentile(samples, 0.1);
}

double row::high() const {
  return percentile(samples, 0.9);
}

const row* results::find(std::string_view question, std::string_view lock,
                         std::string_view column, std::string_view placement) const {
  for (const row& candidate : rows)
    if (candidate.question == question && candidate.lock == lock &&
        candidate.column == column && candidate.placement == placement)
      return &candidate;
  return nullptr;
}

namespace {

template <class Combine>
std::optional<double> round_by_round(const row* a, const row* b, Combine combine) {
  if (a == nullptr || b == nullptr || a->samples.size() != b->samples.size())
    return std::nullopt;
  std::vector<double> combined;
  for (std::size_t round = 0; round < a->samples.size(); ++round)
    combined.push_back(combine(a->samples[round], b->samples[round]));
  return bench::median(combined);
}

}  // namespace

std::optional<double> results::ratio(const row* a, const row* b) {
  return round_by_round(a, b, std::divides<>{});
}

std::optional<double> results::difference(const row* a, const row* b) {
  return round_by_round(a, b, std::minus<>{});
}

namespace {

std::vector<std::size_t> add_rows(const cell& of, results& into) {
  std::vector<std::size_t> added;
  for (const cell::column& column : of.columns) {
    added.push_back(into.rows.size());
    into.rows.push_back({.question = of.question,
                         .lock = of.lock,
                         .placement = of.placement,
                         .threads = of.threads,
                         .column = column.name,
                         .unit = column.unit,
                         .samples = {}});
  }
  return added;
}

}  // namespace

void run_interleaved(std::span<const cell> cells, unsigned rounds, results& into) {
  std::vector<std::vector<std::size_t>> rows;
  for (const cell& each : cells) rows.push_back(add_rows(each, into));
  const bool terminal = isatty(STDERR_FILENO) != 0;
  for (unsigned round = 0; round < rounds; ++round)
    for (std::size_t turn = 0; turn < cells.size(); ++turn) {
      const std::size_t which = (turn + round * cells.size() / rounds) % cells.size();
      const cell& now = cells[which];
      if (terminal)
        fmt::print(stderr, "\r\033[K{} round {}/{}: {}", now.question, round + 1, rounds,
                   now.lock);
      const std::vector<double> figures = now.run();
      for (std::size_t column = 0; column < figures.size(); ++column)
        into.rows[rows[which][column]].samples.push_back(figures[column]);
    }
  if (terminal) fmt::print(stderr, "\r\033[K");
}

}  // namespace memhp::bench
