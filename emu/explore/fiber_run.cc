// The run of a fiber_scheduler: who may go on, who does, what a step changes, and how a
// run ends. What the tasks see is in fiber_scheduler.cc.
#include <algorithm>
#include <array>
#include <utility>

#include "emu/explore/fiber_scheduler.h"
#include "emu/explore/fiber_task.h"
#include "emu/explore/schedule.h"

namespace memhp {
namespace {

constexpr std::size_t most_steps = 1'000'000;
constexpr std::size_t no_choice = SIZE_MAX;

bool is_try(lock_op op) {
  switch (op) {
    using enum lock_op;
    case try_lock:
    case try_read_lock:
    case try_write_lock:
    case try_wait:
    case get_active: return true;
    default: return false;
  }
}

// How many holds more the task has after a step that succeeded.
int holds_after(lock_op op) {
  switch (op) {
    using enum lock_op;
    case lock:
    case try_lock:
    case read_lock:
    case try_read_lock:
    case write_lock:
    case try_write_lock:
    case get_active: return 1;
    case unlock:
    case read_unlock:
    case write_unlock:
    case put_active: return -1;
    default: return 0;
  }
}

void mix(std::uint64_t& digest, std::uint64_t value) {  // FNV-1a, a word at a time
  constexpr std::uint64_t prime = 0x100000001b3;
  digest = (digest ^ value) * prime;
}

}  // namespace

bool fiber_scheduler::can_run(const fiber_task& task) const {
  if (task.state != fiber_task::life::begun) return task.state == fiber_task::life::fresh;
  const object& o = objects_[task.wanted.object - 1];
  return o.alive && enabled(o.state, task.wanted.step);
}

std::vector<unsigned> fiber_scheduler::able() const {
  std::vector<unsigned> who;
  for (const auto& task : tasks_)
    if (task->number != 0 && can_run(*task)) who.push_back(task->number);
  return who;
}

void fiber_scheduler::note_who_waits() {
  for (const auto& task : tasks_)
    if (task->number != 0 && task->state == fiber_task::life::begun &&
        !task->waits_since && !can_run(*task))
      task->waits_since = now();
}

bool fiber_scheduler::all_finished() const {
  return std::ranges::all_of(tasks_, [](const auto& task) {
    return task->number == 0 || task->state == fiber_task::life::finished;
  });
}

std::uint32_t fiber_scheduler::apply_step(fiber_task& task, const wanted_step& wanted) {
  object& o = objects_[wanted.object - 1];
  const lock_op op = wanted.step.op;
  if (const char* rule = broken_rule(o.state, wanted.step)) {
    found(outcome::end::failed, task.name + ": " + rule + ": " + std::string{o.name});
    return 0;
  }
  const std::uint32_t result = apply(o.state, wanted.step);
  if (is_try(op) && result == 0) {
    task.failed_on = wanted.object;
    task.failed_version = o.state.version;
  } else {
    task.holds += holds_after(op);
    pass_on(op, task.number, task.clock, o.clock);
  }
  if (observer_ && task.number != 0)
    observer_({.task = task.number,
               .task_name = task.name,
               .op = op,
               .object = wanted.object,
               .name = o.name,
               .done = !is_try(op) || result != 0,
               .at = now(),
               .waited_since = task.waits_since});
  mix(outcome_.digest, task.number);
  mix(outcome_.digest, static_cast<std::uint64_t>(op) << 32 | wanted.object);
  mix(outcome_.digest, result);
  return result;
}

void fiber_scheduler::take_step(fiber_task& task) {
  if (task.state == fiber_task::life::fresh)
    start(task);
  else
    task.result = apply_step(task, task.wanted);
  if (!found_) switch_to(task);
}

outcome fiber_scheduler::run(const chooser& choose) {
  while (!found_) {
    const std::vector<unsigned> who = able();
    if (lockdep::counting() || observer_) note_who_waits();
    if (who.empty()) {
      if (!all_finished()) describe_deadlock();
      break;
    }
    if (chosen_.size() == most_steps) {
      found(outcome::end::failed, "does not end");
      break;
    }
    const std::size_t choice = choose(who);
    if (choice >= who.size()) {
      found(outcome::end::replay_differs,
            "step " + std::to_string(chosen_.size()) + " cannot be taken");
      break;
    }
    chosen_.push_back(static_cast<std::uint8_t>(who[choice]));
    take_step(*tasks_[who[choice]]);
  }
  outcome_.steps = chosen_.size();
  outcome_.schedule = to_string(schedule{chosen_, outcome_.digest});
  if (found_) abandon();
  for (const auto& task : tasks_) tasks_[0]->clock.join(task->clock);
  return outcome_;
}

outcome fiber_scheduler::random_walk(std::uint64_t seed) {
  std::mt19937_64 random{seed};
  // How many steps a task takes in a row, about, is drawn for the whole run: one step at
  // a time hardly ever lets a task come to its end before another begins.
  constexpr std::array<std::uint64_t, 4> rows = {1, 4, 16, 64};
  const std::uint64_t row = rows[random() % rows.size()];
  return run([&](const std::vector<unsigned>& who) {
    if (!chosen_.empty() && random() % row != 0) {
      const auto same = std::ranges::find(who, chosen_.back());
      if (same != who.end()) return static_cast<std::size_t>(same - who.begin());
    }
    return static_cast<std::size_t>(random() % who.size());
  });
}

outcome fiber_scheduler::replay(std::string_view text) {
  const auto wanted = schedule_from(text);
  if (!wanted) {
    found(outcome::end::replay_differs, "not the text of a schedule");
    return run({});
  }
  outcome end = run([&](const std::vector<unsigned>& who) {
    const std::size_t step = chosen_.size();
    if (step == wanted->tasks.size()) return no_choice;
    const auto hit = std::ranges::find(who, wanted->tasks[step]);
    return hit == who.end() ? no_choice : static_cast<std::size_t>(hit - who.begin());
  });
  if (end.how == outcome::end::replay_differs) return end;
  const bool same = end.steps == wanted->tasks.size() &&
                    (!wanted->digest || *wanted->digest == end.digest);
  if (same) return end;
  end.how = outcome::end::replay_differs;
  end.what = "the steps are not those that were recorded";
  return end;
}

// Hotplug locks had a '.' in their names until they became percpu rwsems.
bool fiber_scheduler::would_take(const fiber_task& task, const stage& end) const {
  if (task.state != fiber_task::life::begun) return false;
  if (is_release(task.wanted.step.op)) return false;
  const auto plain = [](char c) { return c == '.' ? '_' : c; };
  const std::string_view name = objects_[task.wanted.object - 1].name;
  return std::ranges::any_of(end.wants, [&](std::string_view wanted) {
    return std::ranges::equal(name, wanted, {}, plain, plain);
  });
}

outcome fiber_scheduler::forced(std::span<const stage> stages) {
  unsigned passed = 0;
  return run([&](const std::vector<unsigned>& who) -> std::size_t {
    for (; !stages.empty(); stages = stages.subspan(1), passed = 0) {
      const stage& now = stages.front();
      const auto hit = std::ranges::find_if(
          who, [&](unsigned number) { return tasks_[number]->name == now.task; });
      if (hit == who.end()) continue;
      const bool there = would_take(*tasks_[*hit], now);
      if (there && passed++ == now.skip) continue;
      return static_cast<std::size_t>(hit - who.begin());
    }
    return 0;
  });
}

void fiber_scheduler::show_stack(fiber_task& task) {
  showing_ = true;
  switch_to(task);
  showing_ = false;
}

void fiber_scheduler::abandon() {
  abandoned_ = true;
  for (std::size_t i = 1; i < tasks_.size(); ++i)
    while (tasks_[i]->state == fiber_task::life::begun) switch_to(*tasks_[i]);
}

std::string fiber_scheduler::waits_for(const fiber_task& task) const {
  const object& o = objects_[task.wanted.object - 1];
  std::string text{to_string(task.wanted.step.op)};
  text += " of " + std::string{o.name};
  if (!o.alive) return text + ", which is gone";
  if (o.state.owner != 0) text += ", held by " + tasks_[o.state.owner - 1U]->name;
  if (o.state.count != 0) text += ", used by " + std::to_string(o.state.count);
  if (o.state.announced != 0 && task.wanted.step.op != lock_op::write_lock)
    text += ", wanted by a writer";
  return text;
}

void fiber_scheduler::describe_deadlock() {
  std::string what = "deadlock";
  for (const auto& task : tasks_) {
    if (task->state != fiber_task::life::begun) continue;
    show_stack(*task);
    outcome_.stuck.push_back({.name = task->name,
                              .waits_for = waits_for(*task),
                              .task = {.comm = task->name,
                                       .pid = static_cast<int>(task->number),
                                       .cpu = static_cast<int>(task->number)},
                              .stack = task->shown_stack,
                              .held = task->shown_held});
    what += "; " + task->name + ": " + outcome_.stuck.back().waits_for;
  }
  found(outcome::end::deadlock, std::move(what));
}

}  // namespace memhp
