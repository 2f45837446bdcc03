#include "stress/crew.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "stress/ring_driver.h"

namespace memhp::stress {
namespace {

constexpr std::chrono::milliseconds look_every{250};
constexpr std::chrono::milliseconds end_within{3000};
constexpr double ns_per_s = 1e9;

}  // namespace

std::uint64_t ns_of(run_clock::duration time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
}

void crew::add(std::string name, std::string kind, bool can_be_interrupted,
               worker::source next) {
  const auto index = static_cast<std::uint16_t>(workers_.size());
  shared_->names.push_back(std::move(name));
  kinds_.push_back(std::move(kind));
  const state_files usual =
      options_.driver == driver_kind::threads ? state_files::kept : state_files::each;
  workers_.emplace_back(*shared_, index, can_be_interrupted,
                        options_.files.value_or(usual), std::move(next));
}

void crew::start() {
  if (options_.driver == driver_kind::uring) {
    threads_.emplace_back(
        [this] { ring_driver{*shared_, workers_, options_.in_flight}.run(); });
    return;
  }
  signals_ = std::make_unique<thread_signals>(shared_->signals_sent);
  for (worker& each : workers_)
    threads_.emplace_back([this, &each] { run_in_thread(each, *shared_, *signals_); });
}

// Until `limit` is over (0: never), all workers have ended, or there is a reason to.
void crew::run(std::chrono::milliseconds limit) {
  start();
  bool found_stuck = false;
  while (!all_ended()) {
    std::this_thread::sleep_for(pause(limit));
    const auto elapsed = run_clock::now() - shared_->start;
    sample(elapsed);
    if (limit.count() != 0 && elapsed >= limit) break;
    if (options_.stop && options_.stop()) break;
    if (options_.tick) options_.tick();
    if (shared_->findings.count() >= options_.most_findings) break;
    if (found_stuck = find_stuck(options_.stuck_after); found_stuck) break;
  }
  shared_->stop = true;
  wedged_ = !join(found_stuck);
}

run_figures crew::figures() {
  run_figures all;
  const auto elapsed = std::min(run_clock::now(), ended_at_) - shared_->start;
  all.elapsed_s = static_cast<double>(ns_of(elapsed)) / ns_per_s;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    worker& each = workers_[i];
    all.workers.push_back({.name = shared_->names[i],
                           .kind = kinds_[i],
                           .calls = each.live().calls,
                           .successes = each.live().successes});
    if (!each.ended()) continue;  // its figures are still being written
    for (std::size_t op = 0; op < operation_count; ++op)
      if (const auto* own = each.figures(static_cast<operation>(op)))
        all.ops[op].merge(*own);
  }
  all.over_time = over_time_;
  all.findings = shared_->findings.all();
  all.finding_count = shared_->findings.count();
  all.wedged = wedged_;
  return all;
}

std::chrono::milliseconds crew::pause(std::chrono::milliseconds limit) const {
  using std::chrono::milliseconds;
  if (limit.count() == 0) return milliseconds{20};
  const auto left =
      std::chrono::duration_cast<milliseconds>(shared_->start + limit - run_clock::now());
  return std::clamp(left, milliseconds{1}, look_every);
}

bool crew::all_ended() const {
  return std::ranges::all_of(workers_, [](const worker& each) { return each.ended(); });
}

void crew::sample(run_clock::duration elapsed) {
  timeline::sample now{.until_s = static_cast<double>(ns_of(elapsed)) / ns_per_s};
  for (worker& each : workers_) {
    now.calls += each.live().calls;
    now.successes += each.live().successes;
    now.latency_sum_ns += each.live().latency_sum_ns;
    now.latency_max_ns =
        std::max(now.latency_max_ns, each.live().latency_max_ns.exchange(0));
  }
  const timeline::sample since{
      .until_s = now.until_s,
      .calls = now.calls - last_.calls,
      .successes = now.successes - last_.successes,
      .latency_sum_ns = now.latency_sum_ns - last_.latency_sum_ns,
      .latency_max_ns = now.latency_max_ns};
  last_ = now;
  over_time_.add(since);
  if (options_.progress) options_.progress(since, now.until_s);
}

// Reports calls that have not come back.
bool crew::find_stuck(std::chrono::milliseconds for_longer_than) {
  bool found = false;
  const std::uint64_t now = ns_of(run_clock::now() - shared_->start);
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const live_figures& live = workers_[i].live();
    const std::uint64_t since = live.inside_since_ns.load(std::memory_order_acquire);
    if (since == 0 || now < since + ns_of(for_longer_than)) continue;
    const std::uint64_t target = live.inside_target;
    finding each{.worker = shared_->names[i]};
    const operation op = live.inside_op;
    each.what = fmt::format("{}{}: has not come back for {:.1f} s", to_string(op),
                            is_about_block(op) ? fmt::format(" on block {}", target) : "",
                            static_cast<double>(now - since) / ns_per_s);
    if (is_about_block(op))
      for (const record& one : shared_->history.of(target))
        each.history += to_line(one, shared_->names[one.worker]) + "\n";
    shared_->findings.add(std::move(each));
    found = true;
  }
  return found;
}

bool crew::ends_within(std::chrono::milliseconds time) const {
  const auto until = run_clock::now() + time;
  while (!all_ended() && run_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  return all_ended();
}

// False if some thread could not be ended: it is left behind.
bool crew::join(bool found_stuck) {
  while (!found_stuck && !ends_within(look_every)) {
    const bool impatient = options_.give_up && options_.give_up();
    found_stuck = find_stuck(impatient ? look_every : options_.stuck_after);
  }
  ended_at_ = run_clock::now();
  bool back = ends_within(std::chrono::milliseconds{0});
  if (!back && options_.break_tree) {
    shared_->broken = true;
    options_.break_tree();
    back = ends_within(end_within);
  }
  for (std::thread& each : threads_) back ? each.join() : each.detach();
  return back && !found_stuck;
}

}  // namespace memhp::stress
