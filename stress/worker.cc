#include "stress/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace memhp::stress {

std::uint64_t worker::now_ns() const {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        run_clock::now() - shared_.start)
                                        .count());
}

record worker::begin(const call& what) {
  const record made{.start_ns = now_ns(),
                    .target = what.target,
                    .variant = what.variant,
                    .worker = index_,
                    .op = what.op};
  under_way_.push_back(made);
  if (under_way_.size() == 1) show_oldest();
  return made;
}

// The call that has been under way for longest is what is seen from outside.
void worker::show_oldest() {
  if (under_way_.empty()) {
    live_.inside_since_ns.store(0, std::memory_order_release);
    return;
  }
  const record& oldest = under_way_.front();
  live_.inside_target.store(oldest.target, std::memory_order_relaxed);
  live_.inside_op.store(oldest.op, std::memory_order_relaxed);
  live_.inside_since_ns.store(oldest.start_ns + 1, std::memory_order_release);
}

void worker::end(const record& made, const outcome& result) {
  const auto at = std::ranges::find_if(under_way_, [&](const record& each) {
    return each.start_ns == made.start_ns && each.target == made.target &&
           each.variant == made.variant;
  });
  const bool was_oldest = at == under_way_.begin();
  if (at != under_way_.end()) under_way_.erase(at);
  if (was_oldest) show_oldest();
  shared_.ended_calls.fetch_add(1, std::memory_order_relaxed);
  if (!result.issued) {
    if (result.error == ECANCELED) check(made, result);
    return;
  }
  record done = made;
  done.error = static_cast<std::uint8_t>(std::min(result.error, UINT8_MAX));
  keep(done);
  count(done);
  check(done, result);
}

void worker::finish() {
  flush();
  ended_ = true;
}

// Empty if nothing is wrong.
std::string worker::complaint_about(const record& done, const outcome& result) {
  // What a ring calls off before it begins ends with ECANCELED.
  const bool called_off = !result.issued && result.error == ECANCELED;
  if ((called_off || result.error == EINTR) &&
      ++interrupted_ > shared_.signals_sent[index_].load(std::memory_order_acquire))
    return fmt::format("answered {}, but no signal was sent to its worker",
                       errno_name(result.error));
  if (called_off) return {};
  if (!may_answer(done.op, result.error, shared_.now))
    return fmt::format("answered {}, which it never may", errno_name(result.error));
  if ((result.error == ENOENT || result.error == ENODEV) && is_about_block(done.op) &&
      !shared_.now.rebinds &&
      std::ranges::binary_search(shared_.sys.blocks, done.target, {},
                                 &block_at_start::id))
    return fmt::format("answered {}, but nobody removes that block",
                       errno_name(result.error));
  return result.complaint;
}

void worker::check(const record& done, const outcome& result) {
  const std::string wrong = complaint_about(done, result);
  if (wrong.empty() || shared_.broken) return;
  const std::string where =
      is_about_block(done.op) ? fmt::format(" on block {}", done.target) : "";
  finding found{.worker = shared_.names[index_]};
  found.what = fmt::format("{}{}: {}", to_string(done.op), where, wrong);
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
