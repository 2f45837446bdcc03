#include "stress/worker.h"

#include <fmt/format.h>

#include <algorithm>

namespace memhp::stress {
namespace {

std::uint64_t ns_since(run_clock::time_point start) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(run_clock::now() - start)
          .count());
}

}  // namespace

void worker::run() {
  while (!shared_.stop.load(std::memory_order_relaxed)) {
    const std::optional<call> what = next_();
    if (!what) break;
    if (can_be_interrupted_) shared_.threads.enter(index_);
    record done{.start_ns = ns_since(shared_.start),
                .target = what->target,
                .variant = what->variant,
                .worker = index_,
                .op = what->op};
    live_.inside_target.store(what->target, std::memory_order_relaxed);
    live_.inside_op.store(what->op, std::memory_order_relaxed);
    live_.inside_since_ns.store(done.start_ns + 1, std::memory_order_release);
    const outcome result = performer_.perform(*what);
    done.end_ns = ns_since(shared_.start);
    live_.inside_since_ns.store(0, std::memory_order_release);
    if (can_be_interrupted_) shared_.threads.leave(index_);
    if (!result.issued) continue;
    done.error = static_cast<std::uint8_t>(std::min(result.error, UINT8_MAX));
    keep(done);
    count(done);
    check(done, result);
  }
  flush();
  ended_ = true;
}

void worker::check(const record& done, const outcome& result) {
  const bool known = may_answer(done.op, result.error, shared_.now);
  if ((known && result.complaint.empty()) || shared_.broken) return;
  const std::string where =
      is_about_block(done.op) ? fmt::format(" on block {}", done.target) : "";
  finding found{.worker = shared_.names[index_]};
  found.what = fmt::format(
      "{}{}: {}", to_string(done.op), where,
      known ? result.complaint
            : fmt::format("answered {}, which it never may", errno_name(result.error)));
  if (is_about_block(done.op))
    for (const record& each : shared_.history.of(done.target))
      found.history += to_line(each, shared_.names[each.worker]) + "\n";
  shared_.findings.add(std::move(found));
}

void worker::count(const record& done) {
  auto& figures = ops_[static_cast<std::size_t>(done.op)];
  if (!figures) figures = std::make_unique<op_figures>();
  const std::uint64_t latency = done.end_ns - done.start_ns;
  figures->latency.add(latency);
  if (done.error == 0)
    ++figures->successes;
  else
    ++figures->errors[done.error];
  // Nobody else adds to them: no read-modify-write is needed but for the maximum, which
  // the sampler takes away.
  const auto add = [](std::atomic<std::uint64_t>& to, std::uint64_t value) {
    to.store(to.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
  };
  add(live_.calls, 1);
  add(live_.successes, done.error == 0 ? 1 : 0);
  add(live_.latency_sum_ns, latency);
  std::uint64_t longest = live_.latency_max_ns.load(std::memory_order_relaxed);
  while (latency > longest && !live_.latency_max_ns.compare_exchange_weak(
                                  longest, latency, std::memory_order_relaxed)) {
  }
}

void worker::keep(const record& done) {
  if (is_about_block(done.op)) shared_.history.add(done);
  if (shared_.log == nullptr) return;
  to_log_.push_back(done);
  if (to_log_.size() == log_batch) flush();
}

void worker::flush() {
  if (shared_.log == nullptr || to_log_.empty()) return;
  if (!shared_.log->append(to_log_)) shared_.log_failed = true;
  to_log_.clear();
}

}  // namespace memhp::stress
