#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "stress/crew.h"

namespace memhp::stress {
namespace {

// One worker's recorded calls. A call waits until as many have ended as had when it was
// made first; it is not held up for ever by one that takes longer this time.
class recorded_source {
 public:
  struct step {
    call what;
    std::uint64_t ended_before = 0;
  };

  explicit recorded_source(std::vector<step> steps) : steps_{std::move(steps)} {}

  std::optional<planned_call> operator()() {
    constexpr std::chrono::milliseconds patience{200};
    if (next_ == steps_.size()) return std::nullopt;
    const step& now = steps_[next_++];
    return planned_call{.what = now.what,
                        .after_ended = now.ended_before,
                        .at_last = run_clock::now() + patience};
  }

 private:
  std::vector<step> steps_;
  std::size_t next_ = 0;
};

std::map<std::uint16_t, std::vector<recorded_source::step>> steps_of(
    std::vector<record> calls) {
  std::vector<std::uint64_t> ends;
  ends.reserve(calls.size());
  for (const record& each : calls) ends.push_back(each.end_ns);
  std::ranges::sort(ends);
  std::ranges::sort(calls, {}, [](const record& each) {
    return std::pair{each.start_ns, each.end_ns};
  });
  std::map<std::uint16_t, std::vector<recorded_source::step>> steps;
  for (const record& each : calls) {
    const auto before = std::ranges::upper_bound(ends, each.start_ns) - ends.begin();
    steps[each.worker].push_back(
        {.what = {.op = each.op, .target = each.target, .variant = each.variant},
         .ended_before = static_cast<std::uint64_t>(before)});
  }
  return steps;
}

}  // namespace

run_figures replay(const tree& sys, const recorded_run& recorded,
                   const circumstances& now, const run_options& options) {
  auto steps = steps_of(recorded.calls);
  const std::size_t workers = steps.empty() ? 0 : steps.rbegin()->first + std::size_t{1};
  // Threads that never come back refer to it.
  auto* const all = new crew{std::make_unique<shared_run>(sys, now, workers), options};
  for (std::size_t i = 0; i < workers; ++i)
    all->add(fmt::format("worker {}", i), "recorded", /*can_be_interrupted=*/now.signals,
             recorded_source{std::move(steps[static_cast<std::uint16_t>(i)])});
  all->run(std::chrono::milliseconds{0});
  run_figures figures = all->figures();
  figures.seed = recorded.seed;
  figures.command_line = recorded.command_line;
  if (!all->wedged()) delete all;
  return figures;
}

}  // namespace memhp::stress
