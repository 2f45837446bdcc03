#include "stress/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "stress/crew.h"
#include "stress/sequence.h"

namespace memhp::stress {
namespace {

// The blocks that a worker of these choices picks from.
std::vector<std::uint64_t> targets_of(const tree& sys, const worker_kind& kind,
                                      bool blocks_come_and_go) {
  const operation first = kind.choices.front().op;
  if (kind.choices.size() == 1 &&
      (first == operation::probe || first == operation::remove))
    return sys.probed;
  std::vector<std::uint64_t> targets;
  targets.reserve(sys.blocks.size());
  for (const block_at_start& block : sys.blocks) targets.push_back(block.id);
  if (blocks_come_and_go)
    targets.insert(targets.end(), sys.probed.begin(), sys.probed.end());
  return targets;
}

// The calls of one worker of a plan.
class random_source {
 public:
  random_source(const tree& sys, const plan& what, const worker_group& group,
                unsigned worker, unsigned workers)
      : sys_{sys},
        group_{group},
        workers_{workers},
        most_{what.operations},
        targets_{targets_of(sys, *group.kind, comes_and_goes(what))},
        numbers_{what.seed, worker},
        next_at_{run_clock::now()} {
    for (const auto& choice : group.kind->choices) weights_ += choice.weight;
  }

  std::optional<planned_call> operator()() {
    if (most_ != 0 && made_ == most_) return std::nullopt;
    const auto not_before = turn();
    ++made_;
    return planned_call{.what = draw(), .not_before = not_before};
  }

 private:
  call draw() {
    call next{.op = choose(), .target = 0, .variant = 0};
    const std::uint64_t which = numbers_.next();
    next.variant = static_cast<std::uint32_t>(numbers_.next());
    if (next.op == operation::interrupt)
      next.target = which % workers_;
    else if ((next.op == operation::probe || next.op == operation::remove)) {
      if (!sys_.probed.empty()) next.target = sys_.probed[which % sys_.probed.size()];
    } else if (is_about_block(next.op) && !targets_.empty()) {
      next.target = targets_[which % targets_.size()];
    }
    return next;
  }

  static bool comes_and_goes(const plan& what) {
    return std::ranges::any_of(what.workers, [](const worker_group& group) {
      return std::ranges::any_of(group.kind->choices, [](const auto& choice) {
        return choice.op == operation::probe;
      });
    });
  }

  run_clock::time_point turn() {
    run_clock::time_point due;
    if (group_.think_ms != 0 && made_ != 0)
      due = run_clock::now() + std::chrono::milliseconds{group_.think_ms};
    if (group_.rate == 0) return due;
    due = std::max(due, next_at_);
    next_at_ += std::chrono::nanoseconds{1'000'000'000 / group_.rate};
    return due;
  }

  operation choose() {
    auto number = static_cast<unsigned>(numbers_.below(weights_));
    for (const auto& choice : group_.kind->choices) {
      if (number < choice.weight) return choice.op;
      number -= choice.weight;
    }
    return group_.kind->choices.front().op;
  }

  const tree& sys_;
  const worker_group group_;
  const unsigned workers_;
  const std::uint64_t most_;
  const std::vector<std::uint64_t> targets_;
  sequence numbers_;
  run_clock::time_point next_at_;
  unsigned weights_ = 0;
  std::uint64_t made_ = 0;
};

}  // namespace

std::expected<run_figures, std::string> run(const tree& sys, const plan& what,
                                            const run_options& options) {
  std::shared_ptr<op_log> log;
  if (!what.record_path.empty()) {
    auto created = op_log::create(what.record_path, what.seed, what.command_line);
    if (!created) return std::unexpected{created.error()};
    log = std::make_shared<op_log>(std::move(*created));
  }
  unsigned total = 0;
  for (const worker_group& group : what.workers) total += group.count;
  // On the heap for good: threads that never come back refer to it.
  auto* const all = new crew{std::make_unique<shared_run>(sys, what.now, total), options};
  all->shared().log = log;
  unsigned index = 0;
  for (const worker_group& group : what.workers)
    for (unsigned i = 0; i < group.count; ++i)
      all->add(fmt::format("{} {}", group.kind->name, i), std::string{group.kind->name},
               group.kind->writes, random_source{sys, what, group, index++, total});
  all->run(what.time);
  run_figures figures = all->figures();
  figures.seed = what.seed;
  figures.command_line = what.command_line;
  const bool lost = all->shared().log_failed.load();
  if (!all->wedged()) delete all;
  if (lost)
    return std::unexpected{fmt::format("{}: no room for the log", what.record_path)};
  return figures;
}

}  // namespace memhp::stress
