#include "bench/locks_bench/measure.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cmath>

namespace memhp::bench {
namespace {

const cpu_set_t& cpus_at_start() {
  static const cpu_set_t cpus = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    return set;
  }();
  return cpus;
}

}  // namespace

double now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void pin_this_thread(unsigned cpu) {
  cpus_at_start();  // before the first change
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

void unpin_this_thread() {
  sched_setaffinity(0, sizeof(cpu_set_t), &cpus_at_start());
}

double percentile(std::vector<double> samples, double part) {
  const auto rank = static_cast<std::ptrdiff_t>(
      std::lround(part * static_cast<double>(samples.size() - 1)));
  std::ranges::nth_element(samples, samples.begin() + rank);
  return samples[static_cast<std::size_t>(rank)];
}

double median(std::vector<double> samples) {
  std::ranges::sort(samples);
  const std::size_t half = samples.size() / 2;
  return samples.size() % 2 == 1 ? samples[half]
                                 : (samples[half - 1] + samples[half]) / 2;
}

double team_rate(std::span<const unsigned> cpus, unsigned threads,
                 std::chrono::milliseconds how_long, const thread_body& body) {
  std::atomic<unsigned> ready = 0;
  std::atomic<bool> go = false;
  std::atomic<bool> stop = false;
  std::vector<double> ended(threads);
  std::vector<std::uint64_t> operations(threads);
  std::vector<std::jthread> team;
  for (unsigned index = 0; index < threads; ++index)
    team.emplace_back([&, index] {
      pin_this_thread(cpus[index % cpus.size()]);
      ready.fetch_add(1);
      while (!go.load()) sched_yield();  // awake, so that all start at once
      operations[index] = body(index, stop);
      ended[index] = now_ns();
    });
  while (ready.load() < threads) std::this_thread::yield();
  const double start = now_ns();
  go.store(true);
  std::this_thread::sleep_for(how_long);
  stop.store(true);
  team.clear();  // joins
  double rate = 0;
  for (unsigned index = 0; index < threads; ++index)
    rate += static_cast<double>(operations[index]) / (ended[index] - start);
  return rate;
}

busy_cpu::busy_cpu(unsigned cpu)
    : thread_{[this, cpu](const std::stop_token& stop) {
        pin_this_thread(cpu);
        running_.store(true);
        running_.notify_one();
        while (!stop.stop_requested())
          for (int turn = 0; turn < 1000; ++turn) compiler_barrier();
      }} {
  running_.wait(false);
}

}  // namespace memhp::bench
