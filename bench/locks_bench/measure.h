// Clocks, pinned threads, medians: what every question needs.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <thread>
#include <vector>

namespace memhp::bench {

double now_ns();

// Runs the calling thread on `cpu` only. Ignores a CPU that it may not use.
void pin_this_thread(unsigned cpu);
// Undoes it: any CPU that the process had at its start.
void unpin_this_thread();

// Nothing moves across it, and the compiler forgets what it knew of memory. Between a
// lock and its unlock it stands for a section that the compiler cannot see through.
inline void compiler_barrier() {
  asm volatile("" ::: "memory");
}

// The value below which `part` (0 to 1) of the samples lie. Needs one at least.
double percentile(std::vector<double> samples, double part);
double median(std::vector<double> samples);

// What a thread of a team does until `stop` is set; returns how many operations.
using thread_body =
    std::function<std::uint64_t(unsigned index, const std::atomic<bool>& stop)>;

// Starts `threads` threads, thread i on cpus[i % cpus.size()], lets them run together for
// `how_long`, and returns their operations per nanosecond, all together.
double team_rate(std::span<const unsigned> cpus, unsigned threads,
                 std::chrono::milliseconds how_long, const thread_body& body);

// A thread that keeps its CPU busy, touching nothing, until it is destroyed.
class busy_cpu {
 public:
  explicit busy_cpu(unsigned cpu);

 private:
  std::atomic<bool> running_ = false;
  std::jthread thread_;
};

}  // namespace memhp::bench
