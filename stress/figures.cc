#include "stress/figures.h"

#include <algorithm>

namespace memhp::stress {

void op_figures::merge(const op_figures& other) {
  successes += other.successes;
  for (const auto& [error, count] : other.errors) errors[error] += count;
  latency.merge(other.latency);
}

void timeline::join(sample& into, const sample& next) {
  into.until_s = next.until_s;
  into.calls += next.calls;
  into.successes += next.successes;
  into.latency_sum_ns += next.latency_sum_ns;
  into.latency_max_ns = std::max(into.latency_max_ns, next.latency_max_ns);
}

void timeline::add(const sample& each) {
  if (in_last_ != 0 && in_last_ < per_sample_) {
    join(samples_.back(), each);
    ++in_last_;
    return;
  }
  if (samples_.size() == most) {
    for (std::size_t i = 0; i < most / 2; ++i) {
      sample joined = samples_[2 * i];
      join(joined, samples_[2 * i + 1]);
      samples_[i] = joined;
    }
    samples_.resize(most / 2);
    per_sample_ *= 2;
  }
  samples_.push_back(each);
  in_last_ = 1;
}

std::uint64_t run_figures::calls() const {
  std::uint64_t sum = 0;
  for (const op_figures& each : ops) sum += each.calls();
  return sum;
}

std::uint64_t run_figures::successes() const {
  std::uint64_t sum = 0;
  for (const op_figures& each : ops) sum += each.successes;
  return sum;
}

double fairness(const std::vector<worker_total>& workers, const std::string& kind) {
  double sum = 0;
  double squares = 0;
  double n = 0;
  for (const worker_total& each : workers) {
    if (each.kind != kind) continue;
    const auto calls = static_cast<double>(each.calls);
    sum += calls;
    squares += calls * calls;
    ++n;
  }
  return squares == 0 ? 1.0 : sum * sum / (n * squares);
}

}  // namespace memhp::stress
